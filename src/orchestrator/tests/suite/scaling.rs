//! Replicas and orphans.

use expect_test::expect;
use orchestrator::event::Event;
use orchestrator::operations::up::UpOptions;

use crate::support::{Bench, canonical, project, published, service};

fn scaled(count: u32) -> UpOptions {
    UpOptions { scale: [("web".to_owned(), count)].into(), ..UpOptions::default() }
}

#[tokio::test]
async fn replicas_are_added_upwards_and_taken_from_the_top() {
    let project = project([service("web", "app:1")]);
    let bench = Bench::new(&project);
    bench.up(&project, &UpOptions::default()).await;
    bench
        .plan(
            &project,
            &scaled(3),
            expect![[r#"
        #1 create container shop-web-2 (scaled up)
        #2 start container shop-web-2 (created) after #1
        #3 create container shop-web-3 (scaled up)
        #4 start container shop-web-3 (created) after #3
    "#]],
        )
        .await;
    bench.up(&project, &scaled(3)).await;
    bench
        .plan(
            &project,
            &scaled(1),
            expect![[r#"
        #1 stop container shop-web-2 (scaled down)
        #2 remove container shop-web-2 (scaled down) after #1
        #3 stop container shop-web-3 (scaled down)
        #4 remove container shop-web-3 (scaled down) after #3
    "#]],
        )
        .await;
    bench
        .plan(
            &project,
            &scaled(0),
            expect![[r#"
        #1 stop container shop-web-1 (scaled down)
        #2 remove container shop-web-1 (scaled down) after #1
        #3 stop container shop-web-2 (scaled down)
        #4 remove container shop-web-2 (scaled down) after #3
        #5 stop container shop-web-3 (scaled down)
        #6 remove container shop-web-3 (scaled down) after #5
    "#]],
        )
        .await;
}

#[tokio::test]
async fn replicas_that_differ_from_the_file_go_first() {
    let mut project = project([service("web", "app:1")]);
    let bench = Bench::new(&project);
    bench.up(&project, &UpOptions::default()).await;
    project.services.get_mut("web").unwrap().environment.insert("DEBUG".to_owned(), Some("1".to_owned()));
    canonical(&mut project);
    let options = UpOptions { no_recreate: true, ..scaled(2) };
    bench.up(&project, &options).await;
    bench
        .plan(
            &project,
            &scaled(1),
            expect![[r#"
        #1 stop container shop-web-1 (scaled down)
        #2 remove container shop-web-1 (scaled down) after #1
    "#]],
        )
        .await;
}

#[tokio::test]
async fn one_host_port_is_not_for_two_replicas() {
    let project = project([published(service("web", "app:1"), 8080, 80)]);
    let bench = Bench::new(&project);
    bench
        .plan(
            &project,
            &scaled(2),
            expect![[r#"
        error: host port 8080 is wanted by both `shop-web-1` and `shop-web-2`
          path: services.web.ports[0]
          hint: publish a range (`8080-8089:80`), or no host port at all (`80`)
    "#]],
        )
        .await;
}

#[tokio::test]
async fn orphans_are_named_and_removed_when_asked() {
    let before = project([published(service("web", "app:1"), 8080, 80)]);
    let bench = Bench::new(&before);
    bench.up(&before, &UpOptions::default()).await;
    let after = project([published(service("front", "app:1"), 8080, 80)]);
    let (result, events) = bench.try_up(&after, &UpOptions::default()).await;
    assert_eq!(result.unwrap_err().to_string(), "host port 8080 is taken");
    expect![[r#"
        Some(
            Warning(
                "orphan containers of services that the file does not have: shop-web-1; `--remove-orphans` removes them",
            ),
        )
    "#]]
    .assert_debug_eq(&events.iter().find(|event| matches!(event, Event::Warning(_))));
    let remove = UpOptions { remove_orphans: true, ..UpOptions::default() };
    bench
        .plan(
            &after,
            &remove,
            expect![[r#"
        #1 stop container shop-web-1 (orphan)
        #2 remove container shop-web-1 (orphan) after #1
        #3 create container shop-front-1 (missing)
        #4 start container shop-front-1 (created) after #2, #3
    "#]],
        )
        .await;
    bench.up(&after, &remove).await;
    bench.state(expect![[r#"
        container shop-front-1 running
        network shop_default
    "#]]);
}

#[tokio::test]
async fn a_service_that_a_profile_leaves_out_is_no_orphan() {
    let before = project([service("web", "app:1"), service("debug", "app:1")]);
    let bench = Bench::new(&before);
    bench.up(&before, &UpOptions::default()).await;
    let mut after = project([service("web", "app:1")]);
    after.disabled_services = [("debug".to_owned(), service("debug", "app:1"))].into();
    bench
        .plan(
            &after,
            &UpOptions { remove_orphans: true, ..UpOptions::default() },
            expect![[r#"
        nothing to do
    "#]],
        )
        .await;
}
