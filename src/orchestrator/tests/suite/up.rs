//! Plans of `up` from nothing, and when nothing has changed.

use compose::model::build::Build;
use compose::model::service::Condition;
use expect_test::expect;
use orchestrator::engine::fake::FakeEngine;
use orchestrator::operations::up::{BuildChoice, UpOptions};

use crate::support::{Bench, after, canonical, checked, project, published, service, with_volume};

#[tokio::test]
async fn a_first_up_makes_everything_in_order() {
    let db = checked(with_volume(service("db", "postgres:17"), "data", "/data"));
    let migrate = after(service("migrate", "app:1"), "db", Condition::Healthy);
    let web = after(published(service("web", "app:1"), 8080, 80), "migrate", Condition::CompletedSuccessfully);
    let project = project([db, migrate, after(web, "db", Condition::Healthy)]);
    let bench = Bench { engine: FakeEngine::new().into() };
    bench.engine.set_image("postgres:17", "sha256:db", &[]);
    bench
        .plan(
            &project,
            &UpOptions::default(),
            expect![[r#"
                #1 pull image app:1 (missing)
                #2 create network shop_default (missing) after #1
                #3 create volume shop_data (missing) after #1
                #4 create container shop-db-1 (missing) after #2, #3
                #5 start container shop-db-1 (created) after #4
                #6 wait until db is healthy (needed by migrate, web) after #5
                #7 create container shop-migrate-1 (missing) after #1, #2
                #8 start container shop-migrate-1 (created) after #6, #7
                #9 wait until migrate is completed (needed by web) after #8
                #10 create container shop-web-1 (missing) after #1, #2
                #11 start container shop-web-1 (created) after #6, #9, #10
            "#]],
        )
        .await;
}

#[tokio::test]
async fn a_second_up_does_nothing() {
    let db = checked(service("db", "postgres:17"));
    let project = project([db, after(service("web", "app:1"), "db", Condition::Healthy)]);
    let bench = Bench::new(&project);
    bench.up(&project, &UpOptions::default()).await;
    bench
        .plan(
            &project,
            &UpOptions::default(),
            expect![[r#"
        nothing to do
    "#]],
        )
        .await;
    bench.engine.take_log();
    let (result, events) = bench.try_up(&project, &UpOptions::default()).await;
    assert_eq!(result.unwrap().containers.len(), 2);
    bench.acts(expect![[r#"
        nothing
    "#]]);
    expect![[r#"
        [
            UpToDate {
                kind: Container,
                name: "shop-db-1",
                state: "Running",
            },
            UpToDate {
                kind: Container,
                name: "shop-web-1",
                state: "Running",
            },
        ]
    "#]]
    .assert_debug_eq(
        &events.iter().filter(|event| !matches!(event, orchestrator::event::Event::Attach(_))).collect::<Vec<_>>(),
    );
}

#[tokio::test]
async fn what_has_stopped_is_started_again() {
    let project = project([service("db", "postgres:17"), after(service("web", "app:1"), "db", Condition::Started)]);
    let bench = Bench::new(&project);
    bench.up(&project, &UpOptions { no_start: true, ..UpOptions::default() }).await;
    bench.state(expect![[r#"
        container shop-db-1 created
        container shop-web-1 created
        network shop_default
    "#]]);
    bench
        .plan(
            &project,
            &UpOptions::default(),
            expect![[r#"
        #1 start container shop-db-1 (not running)
        #2 start container shop-web-1 (not running) after #1
    "#]],
        )
        .await;
}

#[tokio::test]
async fn only_the_named_services_and_what_they_need() {
    let web = after(service("web", "app:1"), "db", Condition::Started);
    let project = project([service("db", "postgres:17"), web, service("other", "app:1")]);
    let bench = Bench::new(&project);
    let options = UpOptions { services: vec!["we*".to_owned()], ..UpOptions::default() };
    bench
        .plan(
            &project,
            &options,
            expect![[r#"
        #1 create network shop_default (missing)
        #2 create container shop-db-1 (missing) after #1
        #3 start container shop-db-1 (created) after #2
        #4 create container shop-web-1 (missing) after #1
        #5 start container shop-web-1 (created) after #3, #4
    "#]],
        )
        .await;
    let options = UpOptions { no_deps: true, ..options };
    bench
        .plan(
            &project,
            &options,
            expect![[r#"
        #1 create network shop_default (missing)
        #2 create container shop-web-1 (missing) after #1
        #3 start container shop-web-1 (created) after #2
    "#]],
        )
        .await;
}

#[tokio::test]
async fn an_image_that_another_service_builds_is_not_pulled() {
    let mut builder = service("builder", "shop/app");
    builder.build = Some(Build { context: "/shop/app".to_owned(), ..Build::default() });
    let project = project([builder, service("worker", "shop/app")]);
    let bench = Bench::new(&project);
    bench
        .plan(
            &project,
            &UpOptions::default(),
            expect![[r#"
        #1 create network shop_default (missing)
        #2 create container shop-builder-1 (missing) after #1
        #3 start container shop-builder-1 (created) after #2
        #4 create container shop-worker-1 (missing) after #1
        #5 start container shop-worker-1 (created) after #4
    "#]],
        )
        .await;
}

#[tokio::test]
async fn a_build_that_changes_nothing_replaces_nothing() {
    let mut web = service("web", "shop/app");
    web.build = Some(Build { context: "/shop/app".to_owned(), ..Build::default() });
    let mut project = project([web]);
    let bench = Bench::new(&project);
    let options = UpOptions { build: BuildChoice::Always, ..UpOptions::default() };
    bench.up(&project, &options).await;
    bench.engine.take_log();
    bench.up(&project, &options).await;
    bench.acts(expect![[r#"
        build shop/app
    "#]]);
    project.services.get_mut("web").unwrap().build.as_mut().unwrap().context = "/shop/new".to_owned();
    canonical(&mut project);
    bench.up(&project, &options).await;
    bench.acts(expect![[r#"
        build shop/app
        create 000000000001_shop-web-1
        stop shop-web-1
        remove shop-web-1
        rename 000000000001_shop-web-1 shop-web-1
        start shop-web-1
    "#]]);
}

#[tokio::test]
async fn waiting_is_a_step_of_its_own() {
    let project = project([checked(service("db", "postgres:17")), service("web", "app:1")]);
    let bench = Bench::new(&project);
    let options = UpOptions { wait: true, ..UpOptions::default() };
    bench
        .plan(
            &project,
            &options,
            expect![[r#"
        #1 create network shop_default (missing)
        #2 create container shop-db-1 (missing) after #1
        #3 start container shop-db-1 (created) after #2
        #4 create container shop-web-1 (missing) after #1
        #5 start container shop-web-1 (created) after #4
        #6 wait until db is ready (requested) after #3
        #7 wait until web is ready (requested) after #5
    "#]],
        )
        .await;
}

#[tokio::test]
async fn urls_tell_the_way_in() {
    let project = project([published(service("web", "app:1"), 8080, 80), published(service("db", "pg"), 5432, 5432)]);
    let bench = Bench::new(&project);
    let report = bench.up(&project, &UpOptions::default()).await;
    let urls: Vec<_> = report.urls.into_iter().map(|url| format!("{} {}", url.service, url.url)).collect();
    assert_eq!(urls, ["db localhost:5432", "web http://localhost:8080"]);
}
