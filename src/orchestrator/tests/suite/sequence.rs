//! `stop`, `start`, `restart`, `kill`, and what reads: `ps`, `logs`, `exec`.

use compose::model::service::{Condition, Dependency, Hook};
use expect_test::expect;
use orchestrator::engine::log::LogQuery;
use orchestrator::event::Event;
use orchestrator::operations::exec::pick;
use orchestrator::operations::restart::{RestartOptions, restart};
use orchestrator::operations::scope::Scope;
use orchestrator::operations::start::{StartOptions, start};
use orchestrator::operations::stop::{StopOptions, kill, stop};
use orchestrator::operations::up::UpOptions;
use orchestrator::operations::{logs, ps};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::support::{Bench, after, checked, project, service};

fn shop() -> compose::Project {
    let mut web = after(service("web", "app:1"), "db", Condition::Healthy);
    web.pre_stop.push(Hook { command: vec!["drain".to_owned()], ..Hook::default() });
    let mut watcher = service("watcher", "app:1");
    let dependency = Dependency { condition: Condition::Started, restart: true, required: true };
    watcher.depends_on.insert("db".to_owned(), dependency);
    project([checked(service("db", "postgres:17")), web, watcher])
}

async fn running() -> (compose::Project, Bench) {
    let project = shop();
    let bench = Bench::new(&project);
    bench.up(&project, &UpOptions::default()).await;
    bench.engine.take_log();
    (project, bench)
}

fn nobody() -> UnboundedSender<Event> {
    unbounded_channel().0
}

#[tokio::test]
async fn stopping_goes_from_the_dependants_down_and_starting_up() {
    let (project, bench) = running().await;
    stop(bench.dyn_engine(), "shop", Some(&project), &StopOptions::default(), nobody()).await.unwrap();
    bench.acts(expect![[r#"
        exec shop-web-1 drain
        stop shop-watcher-1
        stop shop-web-1
        stop shop-db-1
    "#]]);
    start(bench.dyn_engine(), "shop", None, &StartOptions::default(), nobody()).await.unwrap();
    bench.acts(expect![[r#"
        start shop-db-1
        start shop-watcher-1
        start shop-web-1
    "#]]);
}

#[tokio::test]
async fn a_restart_takes_along_who_asks_for_it() {
    let (project, bench) = running().await;
    let options = RestartOptions { services: vec!["db".to_owned()], ..RestartOptions::default() };
    restart(bench.dyn_engine(), "shop", Some(&project), &options, nobody()).await.unwrap();
    bench.acts(expect![[r#"
        stop shop-watcher-1
        stop shop-db-1
        start shop-db-1
        start shop-watcher-1
    "#]]);
    let alone = RestartOptions { no_deps: true, ..options };
    restart(bench.dyn_engine(), "shop", Some(&project), &alone, nobody()).await.unwrap();
    bench.acts(expect![[r#"
        stop shop-db-1
        start shop-db-1
    "#]]);
}

#[tokio::test]
async fn starting_what_was_never_created_is_an_error() {
    let project = shop();
    let bench = Bench::new(&project);
    let error =
        start(bench.dyn_engine(), "shop", Some(&project), &StartOptions::default(), nobody()).await.unwrap_err();
    expect!["there is no container of `db`, `watcher`, `web` to start"].assert_eq(&error.to_string());
}

#[tokio::test]
async fn signals_reach_what_runs() {
    let (_, bench) = running().await;
    kill(bench.dyn_engine(), "shop", &["web".to_owned()], "SIGHUP", nobody()).await.unwrap();
    bench.acts(expect![[r#"
        kill shop-web-1 SIGHUP
    "#]]);
}

#[tokio::test]
async fn the_list_is_by_service_and_the_logs_end() {
    let (_, bench) = running().await;
    let scope = Scope { services: vec!["w*".to_owned()], ..Scope::default() };
    let list = ps::list(bench.dyn_engine(), "shop", &scope).await.unwrap();
    let names: Vec<_> = list.iter().map(|replica| format!("{} {}", replica.service, replica.number)).collect();
    assert_eq!(names, ["watcher 1", "web 1"]);
    let mut lines = logs::stream(bench.dyn_engine(), "shop", &Scope::default(), LogQuery::default()).await.unwrap();
    let mut count = 0;
    while let Some(entry) = lines.recv().await {
        assert_eq!(String::from_utf8(entry.line.bytes).unwrap(), format!("hello from {}", entry.container));
        count += 1;
    }
    assert_eq!(count, 3);
}

#[tokio::test]
async fn what_does_not_run_can_not_be_entered() {
    let error = pick(&[], "web", Some(2)).unwrap_err();
    expect!["service `web` is not running container #2: it has no container"].assert_eq(&error.message);
}

#[tokio::test]
async fn followed_logs_take_in_what_is_created_later() {
    let (project, bench) = running().await;
    let query = LogQuery { follow: true, ..LogQuery::default() };
    let scope = Scope { services: vec!["web".to_owned()], ..Scope::default() };
    let mut lines = logs::stream(bench.dyn_engine(), "shop", &scope, query).await.unwrap();
    assert_eq!(lines.recv().await.unwrap().container, "shop-web-1");
    let scaled = UpOptions { scale: [("web".to_owned(), 2)].into(), ..UpOptions::default() };
    bench.up(&project, &scaled).await;
    let entry = lines.recv().await.unwrap();
    assert_eq!((entry.container.as_str(), entry.number), ("shop-web-2", 2));
}
