//! When a container is replaced, how, and what goes with it.

use compose::model::mount::Mount;
use compose::model::service::{Condition, Dependency};
use expect_test::expect;
use orchestrator::engine::container::{ContainerState, MountSource};
use orchestrator::operations::up::UpOptions;

use crate::support::{Bench, after, canonical, checked, project, published, service};

#[tokio::test]
async fn a_new_image_replaces_the_container() {
    let project = project([service("web", "app:1")]);
    let bench = Bench::new(&project);
    bench.up(&project, &UpOptions::default()).await;
    bench.engine.set_image("app:1", "sha256:other", &[]);
    bench
        .plan(
            &project,
            &UpOptions::default(),
            expect![[r#"
        #1 create container shop-web-1 as 000000000001_shop-web-1 (image changed)
        #2 stop container shop-web-1 (replaced) after #1
        #3 remove container shop-web-1 (replaced) after #2
        #4 rename container shop-web-1 (replaced) after #3
        #5 start container shop-web-1 (created) after #4
    "#]],
        )
        .await;
    bench.up(&project, &UpOptions::default()).await;
    bench.state(expect![[r#"
        container shop-web-1 running
        network shop_default
    "#]]);
}

#[tokio::test]
async fn a_changed_configuration_replaces_only_its_service() {
    let db = checked(service("db", "postgres:17"));
    let mut project = project([db, after(service("web", "app:1"), "db", Condition::Healthy)]);
    let bench = Bench::new(&project);
    bench.up(&project, &UpOptions::default()).await;
    project.services.get_mut("db").unwrap().environment.insert("DEBUG".to_owned(), Some("1".to_owned()));
    canonical(&mut project);
    bench
        .plan(
            &project,
            &UpOptions::default(),
            expect![[r##"
                #1 create container shop-db-1 as 000000000001_shop-db-1 (text Service { name: "db", image: Some("po... -> Service { name: "db", image: Some("po...)
                #2 stop container shop-db-1 (replaced) after #1
                #3 remove container shop-db-1 (replaced) after #2
                #4 rename container shop-db-1 (replaced) after #3
                #5 start container shop-db-1 (created) after #4
            "##]],
        )
        .await;
    let keep = UpOptions { no_recreate: true, ..UpOptions::default() };
    bench
        .plan(
            &project,
            &keep,
            expect![[r#"
        nothing to do
    "#]],
        )
        .await;
}

#[tokio::test]
async fn the_old_one_goes_on_until_what_the_new_one_waits_for_is_there() {
    let db = checked(service("db", "postgres:17"));
    let mut project = project([db, after(service("web", "app:1"), "db", Condition::Healthy)]);
    let bench = Bench::new(&project);
    bench.up(&project, &UpOptions::default()).await;
    for service in project.services.values_mut() {
        service.environment.insert("DEBUG".to_owned(), Some("1".to_owned()));
    }
    canonical(&mut project);
    bench
        .plan(
            &project,
            &UpOptions::default(),
            expect![[r##"
                #1 create container shop-db-1 as 000000000001_shop-db-1 (text Service { name: "db", image: Some("po... -> Service { name: "db", image: Some("po...)
                #2 stop container shop-db-1 (replaced) after #1
                #3 remove container shop-db-1 (replaced) after #2
                #4 rename container shop-db-1 (replaced) after #3
                #5 start container shop-db-1 (created) after #4
                #6 wait until db is healthy (needed by web) after #5
                #7 create container shop-web-1 as 000000000002_shop-web-1 (text Service { name: "web", image: Some("a... -> Service { name: "web", image: Some("a...)
                #8 stop container shop-web-1 (replaced) after #6, #7
                #9 remove container shop-web-1 (replaced) after #8
                #10 rename container shop-web-1 (replaced) after #9
                #11 start container shop-web-1 (created) after #6, #10
            "##]],
        )
        .await;
    bench.up(&project, &UpOptions::default()).await;
    bench.state(expect![[r#"
        container shop-db-1 running
        container shop-web-1 running
        network shop_default
    "#]]);
}

#[tokio::test]
async fn a_dependant_that_asks_for_it_is_stopped_first_and_started_again() {
    let mut web = service("web", "app:1");
    let dependency = Dependency { condition: Condition::Started, restart: true, required: true };
    web.depends_on.insert("db".to_owned(), dependency);
    let mut project = project([service("db", "postgres:17"), web]);
    let bench = Bench::new(&project);
    bench.up(&project, &UpOptions::default()).await;
    project.services.get_mut("db").unwrap().environment.insert("DEBUG".to_owned(), Some("1".to_owned()));
    canonical(&mut project);
    bench
        .plan(
            &project,
            &UpOptions::default(),
            expect![[r##"
                #1 create container shop-db-1 as 000000000001_shop-db-1 (text Service { name: "db", image: Some("po... -> Service { name: "db", image: Some("po...)
                #2 stop container shop-web-1 (db restarts)
                #3 stop container shop-db-1 (replaced) after #1, #2
                #4 remove container shop-db-1 (replaced) after #3
                #5 rename container shop-db-1 (replaced) after #4
                #6 start container shop-db-1 (created) after #5
                #7 start container shop-web-1 (db restarts) after #2, #6
            "##]],
        )
        .await;
    bench.up(&project, &UpOptions::default()).await;
    bench.state(expect![[r#"
        container shop-db-1 running
        container shop-web-1 running
        network shop_default
    "#]]);
}

#[tokio::test]
async fn what_shares_a_network_namespace_goes_before_and_comes_after() {
    let mut sidecar = service("sidecar", "app:1");
    sidecar.networks.clear();
    sidecar.network_mode = Some("service:web".to_owned());
    let mut project = project([service("web", "app:1"), sidecar]);
    let bench = Bench::new(&project);
    bench.up(&project, &UpOptions::default()).await;
    bench.acts(expect![[r#"
        create network shop_default
        create shop-web-1
        start shop-web-1
        create shop-sidecar-1
        start shop-sidecar-1
    "#]]);
    project.services.get_mut("web").unwrap().environment.insert("DEBUG".to_owned(), Some("1".to_owned()));
    canonical(&mut project);
    bench
        .plan(
            &project,
            &UpOptions::default(),
            expect![[r##"
                #1 create container shop-web-1 as 000000000001_shop-web-1 (text Service { name: "web", image: Some("a... -> Service { name: "web", image: Some("a...)
                #2 stop container shop-sidecar-1 (replaced)
                #3 stop container shop-web-1 (replaced) after #1, #2
                #4 remove container shop-web-1 (replaced) after #3
                #5 rename container shop-web-1 (replaced) after #4
                #6 start container shop-web-1 (created) after #5
                #7 remove container shop-sidecar-1 (replaced) after #2
                #8 create container shop-sidecar-1 (shares namespaces with web) after #5, #7
                #9 start container shop-sidecar-1 (created) after #6, #8
            "##]],
        )
        .await;
    bench.up(&project, &UpOptions::default()).await;
    bench.state(expect![[r#"
        container shop-sidecar-1 running
        container shop-web-1 running
        network shop_default
    "#]]);
}

#[tokio::test]
async fn anonymous_volumes_are_handed_on() {
    let mut web = service("web", "app:1");
    web.mounts.push(Mount { target: "/cache".to_owned(), ..Mount::default() });
    let mut project = project([web]);
    let bench = Bench::new(&project);
    bench.engine.set_image("app:1", "sha256:1", &["/data"]);
    bench.up(&project, &UpOptions::default()).await;
    project.services.get_mut("web").unwrap().environment.insert("DEBUG".to_owned(), Some("1".to_owned()));
    canonical(&mut project);
    bench.up(&project, &UpOptions::default()).await;
    let mounts = bench.engine.spec("shop-web-1").unwrap().mounts;
    let inherited: Vec<_> = mounts
        .into_iter()
        .map(|mount| match mount.source {
            MountSource::Anonymous { name: Some(name) } => format!("{} {name}", mount.target),
            other => panic!("{other:?} is not inherited"),
        })
        .collect();
    assert_eq!(inherited, ["/cache anonymous-2", "/data anonymous-3"]);
    let renew = UpOptions { renew_anon_volumes: true, ..UpOptions::default() };
    bench.up(&project, &renew).await;
    let mounts = bench.engine.spec("shop-web-1").unwrap().mounts;
    assert_eq!(mounts.len(), 1);
    assert_eq!(mounts[0].source, MountSource::Anonymous { name: None });
}

#[tokio::test]
async fn a_fixed_address_is_let_go_before_it_is_taken_again() {
    let mut web = service("web", "app:1");
    web.networks.get_mut("default").unwrap().ipv4_address = Some("10.1.0.100".to_owned());
    let project = project([web]);
    let bench = Bench::new(&project);
    bench.up(&project, &UpOptions::default()).await;
    let force = UpOptions { force_recreate: true, ..UpOptions::default() };
    bench
        .plan(
            &project,
            &force,
            expect![[r#"
        #1 stop container shop-web-1 (replaced)
        #2 remove container shop-web-1 (replaced) after #1
        #3 create container shop-web-1 (forced) after #2
        #4 start container shop-web-1 (created) after #3
    "#]],
        )
        .await;
}

#[tokio::test]
async fn a_changed_network_is_made_anew_with_all_on_it() {
    let mut project = project([service("db", "postgres:17"), after(service("web", "app:1"), "db", Condition::Started)]);
    let bench = Bench::new(&project);
    bench.up(&project, &UpOptions::default()).await;
    project.networks.get_mut("default").unwrap().internal = true;
    canonical(&mut project);
    bench
        .plan(
            &project,
            &UpOptions::default(),
            expect![[r#"
        #1 stop container shop-db-1 (replaced)
        #2 remove container shop-db-1 (replaced) after #1
        #3 stop container shop-web-1 (replaced)
        #4 remove container shop-web-1 (replaced) after #3
        #5 remove network shop_default (configuration changed) after #2, #4
        #6 create network shop_default (configuration changed) after #5
        #7 create container shop-db-1 (network shop_default changed) after #2, #6
        #8 start container shop-db-1 (created) after #7
        #9 create container shop-web-1 (network shop_default changed) after #4, #6
        #10 start container shop-web-1 (created) after #8, #9
    "#]],
        )
        .await;
    bench.up(&project, &UpOptions::default()).await;
    bench.state(expect![[r#"
        container shop-db-1 running
        container shop-web-1 running
        network shop_default
    "#]]);
}

#[tokio::test]
async fn a_run_that_was_killed_half_way_is_finished_by_the_next() {
    let mut project = project([published(service("web", "app:1"), 8080, 80)]);
    let bench = Bench::new(&project);
    bench.up(&project, &UpOptions::default()).await;
    project.services.get_mut("web").unwrap().environment.insert("DEBUG".to_owned(), Some("1".to_owned()));
    canonical(&mut project);
    // Killed after the new one was created: a failing stop leaves the same things behind.
    let broken = orchestrator::engine::error::EngineError::new(
        orchestrator::engine::error::ErrorKind::Failed,
        "container",
        "killed",
    );
    let keep = UpOptions { keep_failed: true, ..UpOptions::default() };
    bench.engine.fail("stop shop-web-1", broken.clone());
    assert!(bench.try_up(&project, &keep).await.0.is_err());
    bench.engine.mend();
    bench.state(expect![[r#"
        container 000000000001_shop-web-1 created
        container shop-web-1 running
        network shop_default
    "#]]);
    bench
        .plan(
            &project,
            &UpOptions::default(),
            expect![[r##"
                #1 remove container 000000000001_shop-web-1 (left by an interrupted run)
                #2 create container shop-web-1 as 000000000001_shop-web-1 (text Service { name: "web", image: Some("a... -> Service { name: "web", image: Some("a...) after #1
                #3 stop container shop-web-1 (replaced) after #2
                #4 remove container shop-web-1 (replaced) after #3
                #5 rename container shop-web-1 (replaced) after #4
                #6 start container shop-web-1 (created) after #5
            "##]],
        )
        .await;
    // Killed after the old one was removed.
    bench.engine.fail("rename 000000000001_shop-web-1 shop-web-1", broken);
    let _ = bench.try_up(&project, &keep).await;
    bench.engine.mend();
    bench.state(expect![[r#"
        container 000000000001_shop-web-1 created
        network shop_default
    "#]]);
    bench
        .plan(
            &project,
            &UpOptions::default(),
            expect![[r#"
        #1 rename container 000000000001_shop-web-1 to shop-web-1 (left by an interrupted run)
        #2 start container shop-web-1 (not running) after #1
    "#]],
        )
        .await;
    bench.up(&project, &UpOptions::default()).await;
    bench.state(expect![[r#"
        container shop-web-1 running
        network shop_default
    "#]]);
    bench
        .plan(
            &project,
            &UpOptions::default(),
            expect![[r#"
        nothing to do
    "#]],
        )
        .await;
}

#[tokio::test]
async fn a_dead_container_is_replaced() {
    let project = project([service("web", "app:1")]);
    let bench = Bench::new(&project);
    bench.up(&project, &UpOptions::default()).await;
    bench.engine.set_state("shop-web-1", ContainerState::Dead { reason: "its record is broken".to_owned() });
    bench
        .plan(
            &project,
            &UpOptions::default(),
            expect![[r#"
        #1 create container shop-web-1 as 000000000001_shop-web-1 (broken)
        #2 remove container shop-web-1 (replaced) after #1
        #3 rename container shop-web-1 (replaced) after #2
        #4 start container shop-web-1 (created) after #3
    "#]],
        )
        .await;
}
