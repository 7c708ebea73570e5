//! Whatever is there and wherever a run breaks off, the next one reaches what the file asks for.

use compose::model::service::{Condition, Dependency, Service};
use orchestrator::engine::error::{EngineError, ErrorKind};
use orchestrator::operations::up::{UpOptions, dry_run, planned};
use proptest::prelude::{Strategy, any, prop};
use proptest::test_runner::{Config, TestCaseError};
use proptest::{prop_assert, prop_assert_eq, proptest};

use crate::support::{Bench, canonical, checked, project, service};

/// What a service of a generated project is like.
#[derive(Debug, Clone)]
struct Trait {
    /// For each earlier service: how it is depended on.
    depends: Vec<Option<(Condition, bool)>>,
    shares_with: Option<usize>,
    fixed_address: bool,
    replicas: u32,
    /// It differs in the second file.
    changes: bool,
}

fn traits() -> impl Strategy<Value = Vec<Trait>> {
    let condition = prop::sample::select(vec![Condition::Started, Condition::Healthy]);
    let depends = prop::collection::vec(prop::option::of((condition, any::<bool>())), 5);
    let one = (depends, prop::option::weighted(0.2, 0..5_usize), prop::bool::weighted(0.2), 1..3_u32, any::<bool>());
    let one = one.prop_map(|(depends, shares_with, fixed_address, replicas, changes)| Trait {
        depends,
        shares_with,
        fixed_address,
        replicas,
        changes,
    });
    prop::collection::vec(one, 1..6)
}

fn services(traits: &[Trait], second: bool) -> Vec<Service> {
    let one = |(index, of): (usize, &Trait)| {
        let mut service = checked(service(&format!("s{index}"), "app:1"));
        service.replicas = if of.fixed_address { 1 } else { of.replicas };
        for (on, dependency) in of.depends.iter().take(index).enumerate() {
            if let Some((condition, restart)) = *dependency {
                service.depends_on.insert(format!("s{on}"), Dependency { condition, restart, required: true });
            }
        }
        match of.shares_with.filter(|other| *other < index) {
            Some(other) => {
                service.networks.clear();
                service.network_mode = Some(format!("service:s{other}"));
            }
            None if of.fixed_address => {
                for network in service.networks.values_mut() {
                    network.ipv4_address = Some(format!("10.0.0.{}", index + 10));
                }
            }
            None => {}
        }
        if second && of.changes {
            service.environment.insert("CHANGED".to_owned(), Some("1".to_owned()));
        }
        service
    };
    traits.iter().enumerate().map(one).collect()
}

async fn converges(traits: Vec<Trait>, network_changes: bool, breaks_at: usize) -> Result<(), TestCaseError> {
    let first = project(services(&traits, false));
    let bench = Bench::new(&first);
    bench.up(&first, &UpOptions::default()).await;
    let mut second = project(services(&traits, true));
    if let Some(network) = second.networks.get_mut("default") {
        network.internal = network_changes;
    }
    canonical(&mut second);
    let plan = planned(&bench.dyn_engine(), &second, &UpOptions::default()).await.expect("it can be planned");
    prop_assert_eq!(plan.sorted().len(), plan.len(), "a cycle of steps:\n{}", plan);
    // The run breaks off at one act: as if it were killed there, but for what is independent.
    let whole = Bench::new(&first);
    whole.up(&first, &UpOptions::default()).await;
    whole.engine.take_log();
    whole.up(&second, &UpOptions::default()).await;
    let acts = whole.engine.take_log();
    if let Some(act) = acts.get(breaks_at % acts.len().max(1)) {
        bench.engine.fail(act, EngineError::new(ErrorKind::Failed, "run", "broken off"));
        let keep = UpOptions { keep_failed: true, ..UpOptions::default() };
        prop_assert!(bench.try_up(&second, &keep).await.0.is_err());
        bench.engine.mend();
    }
    bench.up(&second, &UpOptions::default()).await;
    let rest = dry_run(bench.dyn_engine(), &second, &UpOptions::default()).await.expect("it can be planned");
    prop_assert_eq!(rest, "nothing to do\n");
    prop_assert_eq!(running(&bench), running(&whole));
    Ok(())
}

/// Returns how many containers run and how many other things there are: numbers may differ after a broken run.
fn running(bench: &Bench) -> (usize, usize) {
    let state = bench.engine.state();
    let running = state.iter().filter(|line| line.ends_with(" running")).count();
    (running, state.len() - running)
}

proptest! {
    #![proptest_config(Config { cases: 100, failure_persistence: None, ..Config::default() })]

    #[test]
    fn every_broken_run_is_finished_by_the_next(
        traits in traits(),
        network_changes in any::<bool>(),
        breaks_at in 0..64_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(converges(traits, network_changes, breaks_at))?;
    }
}
