//! Whole command lines on the fake engine: what is printed where, and the exit code.

use std::sync::{Arc, OnceLock};

use clap::Parser as _;
use orchestrator::engine::Engine;
use orchestrator::engine::fake::{Behaviour, FakeEngine};

use crate::app::App;
use crate::args::{Environment, Settings};
use crate::commands::Cli;
use crate::print::card;
use crate::print::printer::tests::kept;

/// A project folder called `shop`, and an engine that remembers from command to command.
struct Bench {
    scratch: tempfile::TempDir,
    engine: Arc<FakeEngine>,
}

/// What a command did.
struct Outcome {
    code: u8,
    out: String,
    err: String,
}

impl Bench {
    fn new(file: &str) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::create_dir(scratch.path().join("shop")).unwrap();
        std::fs::write(scratch.path().join("shop/compose.yaml"), file).unwrap();
        let engine = Arc::new(FakeEngine::new());
        engine.set_image("app:1", "sha256:app", &[]);
        Self { scratch, engine }
    }

    async fn motet(&self, line: &str) -> Outcome {
        let cli = Cli::parse_from(std::iter::once("motet").chain(line.split_whitespace()));
        let (printer, text) = kept();
        let engine: Arc<dyn Engine> = self.engine.clone();
        let app = App {
            is_drop_in: false,
            settings: Settings::new(&cli.global, &Environment::default()).unwrap(),
            args: cli.global,
            environment: Environment::default(),
            printer,
            folder: self.scratch.path().join("shop"),
            opened: OnceLock::from(engine),
        };
        let result = cli.verb.run(&app).await;
        if let Err(error) = &result {
            app.printer.note(card::render(error, &app.look()).trim_end());
        }
        let (out, err) = text();
        Outcome { code: result.err().map_or(0, |error| error.kind.exit_code(false)), out, err }
    }
}

const TWO: &str = "services: { web: { image: 'app:1', depends_on: [job] }, job: { image: 'app:1' } }";

#[tokio::test]
async fn up_stays_until_the_last_container_has_ended_and_shows_each_line_once() {
    let bench = Bench::new(TWO);
    bench.engine.set_behaviour("web-1", Behaviour::Exits(0));
    bench.engine.set_behaviour("job-1", Behaviour::Exits(3));
    let outcome = bench.motet("up").await;
    assert_eq!(outcome.code, 7, "{}", outcome.err);
    let mut lines: Vec<&str> = outcome.out.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["job-1  | hello from shop-job-1", "web-1  | hello from shop-web-1"]);
    assert!(outcome.err.contains("job-1 exited with code 3") && outcome.err.contains("web-1 exited with code 0"));
}

#[tokio::test]
async fn the_first_exit_ends_all_with_its_code_when_asked() {
    let bench = Bench::new(TWO);
    bench.engine.set_behaviour("job-1", Behaviour::Exits(3));
    let outcome = bench.motet("up --abort-on-container-exit").await;
    assert_eq!(outcome.code, 3, "{}", outcome.err);
    assert!(bench.engine.state().contains(&"container shop-web-1 exited 143".to_owned()), "{:?}", bench.engine.state());
}

#[tokio::test]
async fn the_code_of_a_service_is_that_of_its_first_end() {
    let bench = Bench::new(TWO);
    bench.engine.set_behaviour("job-1", Behaviour::Exits(0));
    bench.engine.set_behaviour("web-1", Behaviour::Exits(42));
    assert_eq!(bench.motet("up --exit-code-from web").await.code, 42);
}

#[tokio::test]
async fn only_what_is_asked_for_is_shown() {
    let bench = Bench::new(TWO);
    bench.engine.set_behaviour("job-1", Behaviour::Exits(0));
    bench.engine.set_behaviour("web-1", Behaviour::Exits(0));
    let outcome = bench.motet("up --no-attach job").await;
    assert_eq!(outcome.out, "web-1  | hello from shop-web-1\n");
    assert!(!outcome.err.contains("job-1 exited"), "{}", outcome.err);
}

#[tokio::test]
async fn a_service_that_cannot_start_is_shown_where_the_file_asks_for_it() {
    let bench = Bench::new("services:\n  web:\n    image: app:1\n    command: gunicorn app\n");
    bench.engine.set_behaviour("web-1", Behaviour::CannotStart("cannot run `gunicorn`: no such program".into()));
    let outcome = bench.motet("up -d").await;
    assert_ne!(outcome.code, 0);
    assert!(outcome.err.contains("gunicorn") && outcome.err.contains("--> compose.yaml:"), "{}", outcome.err);
}

#[tokio::test]
async fn exit_codes_tell_a_start_that_fails_from_a_service_that_does_not_run() {
    let bench = Bench::new("services: { web: { image: 'app:1', command: gunicorn } }");
    assert_eq!(bench.motet("exec -T web true").await.code, 1);
    bench.engine.set_behaviour("web-1", Behaviour::CannotStart("cannot run `gunicorn`: no such program".into()));
    let outcome = bench.motet("up").await;
    assert_eq!(outcome.code, 7);
    assert_eq!(outcome.err.matches("no such program").count(), 1, "{}", outcome.err);
    bench.motet("create").await;
    assert_eq!(bench.motet("exec -T web true").await.code, 1);
}

#[tokio::test]
async fn nothing_to_do_is_said() {
    let bench = Bench::new(TWO);
    let down = bench.motet("down").await;
    assert_eq!((down.code, down.err.as_str()), (0, "warning: no resource found to remove for project `shop`\n"));
    let build = bench.motet("build").await;
    assert_eq!((build.code, build.err.as_str()), (0, "No services to build\n"));
}

#[tokio::test]
async fn the_life_of_a_project() {
    let bench = Bench::new(TWO);
    let up = bench.motet("up -d").await;
    assert_eq!(up.out, "", "progress is no data");
    assert!(up.err.contains(" Container shop-web-1  Started\n"), "{}", up.err);
    assert_eq!(bench.motet("ps --services").await.out, "job\nweb\n");
    assert_eq!(bench.motet("ps --format {{.Name}}={{.State}} web").await.out, "shop-web-1=running\n");
    assert!(bench.motet("ls").await.out.contains("shop"));
    assert!(bench.motet("stop web").await.err.contains(" Container shop-web-1  Stopped\n"));
    assert_eq!(bench.motet("ps -q").await.out.lines().count(), 1);
    assert_eq!(bench.motet("rm -f").await.code, 0);
    assert_eq!(bench.motet("ps -a --format {{.Service}}").await.out, "job\n");
    assert_eq!(bench.motet("down").await.code, 0);
    assert_eq!(bench.engine.state(), Vec::<String>::new());
}

#[tokio::test]
async fn a_dry_run_shows_the_plan_and_touches_nothing() {
    let bench = Bench::new(TWO);
    let outcome = bench.motet("--dry-run up -d").await;
    assert!(outcome.out.contains("create container shop-web-1"), "{}", outcome.out);
    assert_eq!(bench.engine.state(), Vec::<String>::new());
    bench.motet("up -d").await;
    let before = bench.engine.state();
    let outcome = bench.motet("--dry-run down").await;
    assert!(outcome.err.contains(" DRY-RUN MODE -  Container shop-web-1  Removed"), "{}", outcome.err);
    assert_eq!(bench.engine.state(), before);
}

#[tokio::test]
async fn without_a_file_a_name_is_enough() {
    let bench = Bench::new(TWO);
    bench.motet("up -d").await;
    std::fs::remove_file(bench.scratch.path().join("shop/compose.yaml")).unwrap();
    assert_ne!(bench.motet("down").await.code, 0);
    assert_eq!(bench.motet("-p shop down").await.code, 0);
    assert_eq!(bench.engine.state(), Vec::<String>::new());
}

#[tokio::test]
async fn logs_follow_until_the_last_end() {
    let bench = Bench::new(TWO);
    bench.engine.set_behaviour("job-1", Behaviour::Exits(0));
    bench.engine.set_behaviour("web-1", Behaviour::Exits(0));
    bench.motet("up -d").await;
    let outcome = bench.motet("logs -f --no-log-prefix web").await;
    assert_eq!((outcome.code, outcome.out.as_str()), (0, "hello from shop-web-1\n"));
}
