//! What a failed `up` says, and what it leaves.

use std::time::Duration;

use compose::model::service::{Condition, Hook};
use expect_test::expect;
use orchestrator::engine::container::ContainerState;
use orchestrator::engine::error::{EngineError, ErrorKind};
use orchestrator::engine::fake::Behaviour;
use orchestrator::event::Event;
use orchestrator::operations::up::UpOptions;

use crate::support::{Bench, after, checked, error_text, project, published, service, with_volume};

async fn failure(bench: &Bench, project: &compose::Project) -> String {
    failure_with(bench, project, &UpOptions::default()).await
}

async fn failure_with(bench: &Bench, project: &compose::Project, options: &UpOptions) -> String {
    error_text(&bench.try_up(project, options).await.0.expect_err("it must fail"))
}

#[tokio::test]
async fn an_unhealthy_dependency_shows_its_probe_and_stays_to_be_looked_at() {
    let db = checked(with_volume(service("db", "postgres:17"), "data", "/data"));
    let project = project([db, after(service("web", "app:1"), "db", Condition::Healthy)]);
    let bench = Bench::new(&project);
    bench.engine.set_behaviour("db-1", Behaviour::Unhealthy("cannot connect to 5432".to_owned()));
    expect![[r#"
        error: dependency `db` failed to start: container `shop-db-1` is unhealthy: 3 probes failed in a row, the last one ended with exit code 1; `web` waits for it
          path: services.db.healthcheck
          blocked: shop-web-1
          output: last probe of shop-db-1, after 0.0 s:
          output:   cannot connect to 5432
          output: last lines of shop-db-1:
          output:   hello from shop-db-1
        left: Container shop-db-1 started
        left: Network shop_default 
        left: Volume shop_data 
    "#]].assert_eq(&failure(&bench, &project).await);
    bench.state(expect![[r#"
        container shop-db-1 running
        network shop_default
        volume shop_data
    "#]]);
}

#[tokio::test]
async fn a_dependency_that_ended_tells_its_code_and_meaning() {
    let project = project([
        checked(service("db", "postgres:17")),
        after(service("web", "app:1"), "db", Condition::Healthy),
        service("other", "app:1"),
    ]);
    let bench = Bench::new(&project);
    bench.engine.set_behaviour("db-1", Behaviour::OutOfMemory);
    expect![[r#"
        error: dependency `db` failed to start: container `shop-db-1` ended with exit code 137 (killed: out of memory); `web` waits for it
          path: services.db.healthcheck
          blocked: shop-web-1
          output: last lines of shop-db-1:
          output:   hello from shop-db-1
        left: Container shop-db-1 started
        left: Container shop-other-1 started
        left: Network shop_default 
    "#]].assert_eq(&failure(&bench, &project).await);
    bench.state(expect![[r#"
        container shop-db-1 exited 137
        container shop-other-1 running
        network shop_default
    "#]]);
}

#[tokio::test]
async fn a_one_shot_lets_its_dependants_start_only_with_code_zero() {
    let project = project([
        service("migrate", "app:1"),
        after(service("web", "app:1"), "migrate", Condition::CompletedSuccessfully),
    ]);
    let bench = Bench::new(&project);
    bench.engine.set_behaviour("migrate-1", Behaviour::Exits(0));
    bench.up(&project, &UpOptions { wait: true, ..UpOptions::default() }).await;
    bench.state(expect![[r#"
        container shop-migrate-1 exited 0
        container shop-web-1 running
        network shop_default
    "#]]);
    let bench = Bench::new(&project);
    bench.engine.set_behaviour("migrate-1", Behaviour::Exits(1));
    expect![[r#"
        error: service `migrate` did not complete: container `shop-migrate-1` ended with exit code 1; `web` waits for it
          path: services.migrate
          blocked: shop-web-1
          output: last lines of shop-migrate-1:
          output:   hello from shop-migrate-1
        left: Container shop-migrate-1 started
        left: Network shop_default 
    "#]]
    .assert_eq(&failure(&bench, &project).await);
}

#[tokio::test]
async fn a_dependency_without_a_health_check_is_said_to_have_none() {
    let project = project([service("db", "postgres:17"), after(service("web", "app:1"), "db", Condition::Healthy)]);
    let bench = Bench::new(&project);
    expect![[r#"
        error: dependency `db` failed to start: container `shop-db-1` has no health check, so it can't become healthy; `web` waits for it
          path: services.db.healthcheck
          blocked: shop-web-1
          output: last lines of shop-db-1:
          output:   hello from shop-db-1
        left: Container shop-db-1 started
        left: Network shop_default 
    "#]].assert_eq(&failure(&bench, &project).await);
}

#[tokio::test]
async fn independent_steps_go_on_and_what_runs_is_named() {
    let project = project([
        service("db", "postgres:17"),
        after(service("web", "app:1"), "db", Condition::Started),
        after(service("proxy", "app:1"), "web", Condition::Started),
    ]);
    let bench = Bench::new(&project);
    let message = "cannot run `gunicorn`: no such program in the container's PATH".to_owned();
    bench.engine.set_behaviour("web-1", Behaviour::CannotStart(message));
    expect![[r#"
        error: cannot run `gunicorn`: no such program in the container's PATH
          path: services.web
          blocked: shop-proxy-1
        left: Container shop-db-1 started
        left: Network shop_default 
    "#]]
    .assert_eq(&failure(&bench, &project).await);
    bench.state(expect![[r#"
        container shop-db-1 running
        network shop_default
    "#]]);
}

#[tokio::test]
async fn what_may_stay_is_all_named_when_it_is_kept() {
    let project = project([service("db", "postgres:17"), after(service("web", "app:1"), "db", Condition::Started)]);
    let bench = Bench::new(&project);
    bench.engine.set_behaviour("db-1", Behaviour::CannotStart("no".to_owned()));
    let options = UpOptions { keep_failed: true, ..UpOptions::default() };
    expect![[r#"
        error: no
          path: services.db
          blocked: shop-web-1
        left: Container shop-db-1 created
        left: Container shop-web-1 created
        left: Network shop_default 
    "#]]
    .assert_eq(&failure_with(&bench, &project, &options).await);
}

#[tokio::test]
async fn a_taken_port_is_found_before_anything_is_made() {
    let project = project([published(published(service("web", "app:1"), 8081, 81), 8080, 80)]);
    let bench = Bench::new(&project);
    bench.engine.take_port(8080);
    expect![[r#"
        error: host port 8080 is taken
          path: services.web.ports[1]
    "#]]
    .assert_eq(&failure(&bench, &project).await);
    bench.acts(expect![[r#"
        nothing
    "#]]);
}

#[tokio::test]
async fn an_external_network_must_be_there() {
    let mut project = project([service("web", "app:1")]);
    project.networks.get_mut("default").unwrap().external = true;
    project.networks.get_mut("default").unwrap().name = "shared".to_owned();
    let bench = Bench::new(&project);
    expect![[r#"
        error: network `shared` is declared external, but there is no such network
          path: networks.default
          hint: create it, or take `external: true` away from `networks.default`
    "#]]
    .assert_eq(&failure(&bench, &project).await);
    bench.engine.add_network("shared");
    bench.up(&project, &UpOptions::default()).await;
    bench.state(expect![[r#"
        container shop-web-1 running
        network shared
    "#]]);
}

#[tokio::test]
async fn a_cycle_is_named_in_full() {
    let project = project([
        after(service("a", "app:1"), "b", Condition::Started),
        after(service("b", "app:1"), "c", Condition::Started),
        after(service("c", "app:1"), "a", Condition::Started),
    ]);
    let bench = Bench::new(&project);
    expect![[r#"
        error: dependency cycle: a -> b -> c -> a
          path: services.a.depends_on.b
          hint: take one of these dependencies out: a service can't wait for one that waits for it
    "#]]
    .assert_eq(&failure(&bench, &project).await);
}

#[tokio::test]
async fn a_failing_hook_shows_its_code() {
    let mut web = service("web", "app:1");
    web.post_start.push(Hook { command: vec!["warm-up".to_owned()], ..Hook::default() });
    let project = project([web]);
    let bench = Bench::new(&project);
    bench.engine.set_exec_code("warm-up", 127);
    expect![[r#"
        error: the post_start hook `warm-up` of container `shop-web-1` ended with exit code 127 (no such program)
          path: services.web.post_start[0]
        left: Container shop-web-1 started
        left: Network shop_default 
    "#]]
    .assert_eq(&failure(&bench, &project).await);
}

#[tokio::test]
async fn a_dependency_that_is_not_required_is_only_missed() {
    let mut web = after(service("web", "app:1"), "db", Condition::Healthy);
    web.depends_on.get_mut("db").unwrap().required = false;
    let project = project([checked(service("db", "postgres:17")), web]);
    let bench = Bench::new(&project);
    bench.engine.set_behaviour("db-1", Behaviour::Exits(1));
    let (result, events) = bench.try_up(&project, &UpOptions::default()).await;
    assert!(result.is_ok());
    expect![[r#"
        Some(
            Warning(
                "dependency `db` failed to start: container `shop-db-1` ended with exit code 1; `web` waits for it; going on, since it is not required",
            ),
        )
    "#]].assert_debug_eq(&events.iter().find(|event| matches!(event, Event::Warning(_))));
}

#[tokio::test]
async fn the_time_to_wait_can_be_over() {
    let project = project([checked(service("db", "postgres:17"))]);
    let bench = Bench::new(&project);
    bench.engine.set_behaviour("db-1", Behaviour::RunsWithoutVerdict);
    let options = UpOptions { wait: true, wait_timeout: Some(Duration::from_millis(20)), ..UpOptions::default() };
    let error = bench.try_up(&project, &options).await.0.unwrap_err();
    assert!(error.timed_out);
    expect!["service `db` is not ready: container `shop-db-1` has no verdict of its health check yet, and the time to wait is over"].assert_eq(&error.failures[0].error.message);
}

#[tokio::test]
async fn a_replacement_that_fails_leaves_the_old_one_running() {
    let mut project = project([service("web", "app:1")]);
    let bench = Bench::new(&project);
    bench.up(&project, &UpOptions::default()).await;
    project.services.get_mut("web").unwrap().environment.insert("A".to_owned(), None);
    crate::support::canonical(&mut project);
    let error = EngineError::new(ErrorKind::Failed, "container `shop-web-1`", "it does not stop");
    bench.engine.fail("stop shop-web-1", error);
    expect![[r#"
        error: it does not stop
          path: services.web
    "#]]
    .assert_eq(&failure(&bench, &project).await);
    bench.state(expect![[r#"
        container shop-web-1 running
        network shop_default
    "#]]);
}

#[tokio::test]
async fn an_image_that_can_not_be_had_is_named_once() {
    let project = project([service("web", "app:1"), service("worker", "app:1"), service("db", "postgres:17")]);
    let bench = Bench::new(&crate::support::project([service("db", "postgres:17")]));
    let error = EngineError::new(ErrorKind::NotFound, "image `app:1`", "the registry has no image `app:1`");
    bench.engine.fail("pull app:1", error);
    expect![[r#"
        error: the registry has no image `app:1`
          path: services.web.image
          blocked: shop-db-1, shop-web-1, shop-worker-1
    "#]]
    .assert_eq(&failure(&bench, &project).await);
    bench.state(expect![[r#"
        nothing
    "#]]);
}

#[tokio::test]
async fn a_crash_loop_is_not_ready() {
    let project = project([service("web", "app:1")]);
    let bench = Bench::new(&project);
    bench.up(&project, &UpOptions::default()).await;
    bench.engine.set_state(
        "shop-web-1",
        ContainerState::Restarting { exit_code: 3, attempts: 5, at: std::time::SystemTime::UNIX_EPOCH },
    );
    let options = UpOptions { wait: true, ..UpOptions::default() };
    expect![[r#"
        error: service `web` is not ready: container `shop-web-1` keeps crashing: 5 restarts, the last run ended with exit code 3
          path: services.web
          output: last lines of shop-web-1:
          output:   hello from shop-web-1
    "#]].assert_eq(&failure_with(&bench, &project, &options).await);
}

#[tokio::test]
async fn a_name_that_a_stranger_has_taken_is_said_with_its_place() {
    let mut web = service("web", "app:1");
    web.container_name = Some("front".to_owned());
    web.networks.clear();
    let theirs = compose::Project { name: "other".to_owned(), ..project([web.clone()]) };
    let bench = Bench::new(&theirs);
    bench.up(&theirs, &UpOptions::default()).await;
    let ours = project([web]);
    expect![[r#"
        error: the name `front` is taken by a container of project `other`
          path: services.web.container_name
          hint: take `container_name` out of the file: it also keeps the service from being scaled
          hint: or remove the other one: it is running
    "#]]
    .assert_eq(&failure(&bench, &ours).await);
}

#[tokio::test]
async fn what_another_command_takes_away_is_one_failure() {
    let project = project([service("db", "postgres:17"), service("web", "app:1"), service("worker", "app:1")]);
    let bench = Bench::new(&project);
    for name in ["db", "web", "worker"] {
        bench.engine.lose(&format!("create shop-{name}-1"), "shop_default");
    }
    expect![[r#"
        error: cannot create container `shop-db-1`: network `shop_default` was removed by another command meanwhile
          path: services.db
          blocked: shop-web-1, shop-worker-1
    "#]]
    .assert_eq(&failure(&bench, &project).await);
    let bench = Bench::new(&project);
    for name in ["shop-db-1", "shop-web-1"] {
        bench.engine.lose(&format!("start {name}"), name);
    }
    expect![[r#"
        error: cannot start container `shop-db-1`: it was removed by another command meanwhile
          path: services.db
          blocked: shop-web-1
        left: Container shop-worker-1 started
        left: Network shop_default 
    "#]]
    .assert_eq(&failure(&bench, &project).await);
}
