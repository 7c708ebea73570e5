//! What `down` takes away, and what it leaves.

use compose::model::service::Condition;
use expect_test::expect;
use orchestrator::operations::down::{DownOptions, RemoveImages};
use orchestrator::operations::up::UpOptions;

use crate::support::{Bench, after, project, service, with_volume};

fn shop() -> compose::Project {
    let db = with_volume(service("db", "postgres:17"), "data", "/data");
    project([db, after(service("web", "app:1"), "db", Condition::Started)])
}

#[tokio::test]
async fn dependants_go_first_and_volumes_stay() {
    let project = shop();
    let bench = Bench::new(&project);
    bench.up(&project, &UpOptions::default()).await;
    bench.engine.take_log();
    bench.down(Some(&project), &DownOptions::default()).await;
    bench.acts(expect![[r#"
        stop shop-web-1
        stop shop-db-1
        remove shop-web-1
        remove shop-db-1
        remove network shop_default
    "#]]);
    bench.state(expect![[r#"
        volume shop_data
    "#]]);
}

#[tokio::test]
async fn without_a_file_the_labels_tell() {
    let project = shop();
    let bench = Bench::new(&project);
    bench.up(&project, &UpOptions::default()).await;
    bench.engine.take_log();
    bench.down(None, &DownOptions { volumes: true, ..DownOptions::default() }).await;
    bench.acts(expect![[r#"
        stop shop-web-1
        stop shop-db-1
        remove shop-web-1 with volumes
        remove shop-db-1 with volumes
        remove network shop_default
        remove volume shop_data
    "#]]);
    bench.state(expect![[r#"
        nothing
    "#]]);
    bench.down(None, &DownOptions::default()).await;
}

#[tokio::test]
async fn images_go_when_asked() {
    let project = shop();
    let bench = Bench::new(&project);
    bench.up(&project, &UpOptions::default()).await;
    bench.engine.take_log();
    bench.down(Some(&project), &DownOptions { rmi: Some(RemoveImages::All), ..DownOptions::default() }).await;
    bench.acts(expect![[r#"
        stop shop-web-1
        stop shop-db-1
        remove shop-web-1
        remove shop-db-1
        remove network shop_default
        remove image app:1
        remove image postgres:17
    "#]]);
}

#[tokio::test]
async fn a_network_that_an_orphan_uses_stays() {
    let project = shop();
    let bench = Bench::new(&project);
    bench.up(&project, &UpOptions::default()).await;
    let mut smaller = shop();
    smaller.services.remove("web");
    bench.down(Some(&smaller), &DownOptions::default()).await;
    bench.state(expect![[r#"
        container shop-web-1 running
        network shop_default
        volume shop_data
    "#]]);
    bench.down(Some(&smaller), &DownOptions { remove_orphans: true, ..DownOptions::default() }).await;
    bench.state(expect![[r#"
        volume shop_data
    "#]]);
}

#[tokio::test]
async fn named_services_go_alone() {
    let project = shop();
    let bench = Bench::new(&project);
    bench.up(&project, &UpOptions::default()).await;
    bench.down(Some(&project), &DownOptions { services: vec!["web".to_owned()], ..DownOptions::default() }).await;
    bench.state(expect![[r#"
        container shop-db-1 running
        network shop_default
        volume shop_data
    "#]]);
}

#[tokio::test]
async fn what_another_down_has_removed_meanwhile_is_down() {
    let project = project([service("db", "postgres:17"), service("web", "app:1")]);
    let bench = Bench::new(&project);
    bench.up(&project, &UpOptions::default()).await;
    for name in ["shop-db-1", "shop-web-1"] {
        bench.engine.lose(&format!("stop {name}"), name);
    }
    bench.down(Some(&project), &DownOptions::default()).await;
    bench.state(expect![[r#"
        nothing
    "#]]);
}
