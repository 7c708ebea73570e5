//! A profile in Docker's JSON notation made a policy.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::sandbox::capabilities;
use crate::sandbox::seccomp::policy::{Abi, Action, Calls, Case, Condition, Policy, Test};
use crate::sandbox::seccomp::table;

/// Why a profile can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// It is no JSON, or not of this shape.
    #[error("the seccomp profile can't be read: {source}")]
    Json {
        /// What was wrong, and where.
        #[source]
        source: serde_json::Error,
    },
    /// It asks for something that there is not.
    #[error("the seccomp profile has an unknown {what} `{name}`")]
    Unknown {
        /// `action`, `operator`.
        what: &'static str,
        /// As written.
        name: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    default_action: String,
    default_errno_ret: Option<u16>,
    #[serde(default)]
    syscalls: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    #[serde(default)]
    name: String,
    #[serde(default)]
    names: Vec<String>,
    action: String,
    errno_ret: Option<u16>,
    #[serde(default)]
    args: Option<Vec<Arg>>,
    #[serde(default)]
    includes: Option<Filter>,
    #[serde(default)]
    excludes: Option<Filter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Arg {
    index: u8,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Filter {
    caps: Option<Vec<String>>,
    arches: Option<Vec<String>>,
    min_kernel: Option<String>,
}

/// Reads a profile for a process with these capabilities.
pub(super) fn policy(text: &str, caps: u64) -> Result<Policy, ProfileError> {
    let profile: Profile = serde_json::from_str(text).map_err(|source| ProfileError::Json { source })?;
    let default = action(&profile.default_action, profile.default_errno_ret)?;
    let rows: Vec<table::Row> = table::rows().collect();
    let last = |abi: Abi| rows.iter().filter_map(|row| row.number(abi)).max().unwrap_or(0);
    let mut calls: Vec<Calls> =
        Abi::HERE.iter().map(|abi| Calls { abi: *abi, cases: BTreeMap::new(), last_known: last(*abi) }).collect();
    for rule in &profile.syscalls {
        if !applies(rule, caps) {
            continue;
        }
        let case = Case { action: action(&rule.action, rule.errno_ret)?, conditions: conditions(rule)? };
        // A name that this machine does not know can't be called here.
        for row in rows.iter().filter(|row| rule.name == row.name || rule.names.iter().any(|name| name == row.name)) {
            for calls in &mut calls {
                if let Some(number) = row.number(calls.abi) {
                    calls.cases.entry(number).or_default().push(case.clone());
                }
            }
        }
    }
    // What holds always comes last, or what is asked of the arguments would never be.
    for cases in calls.iter_mut().flat_map(|calls| calls.cases.values_mut()) {
        cases.sort_by_key(|case| case.conditions.is_empty());
    }
    Ok(Policy { default, calls })
}

/// As Docker: every one of the capabilities and one of the machines is needed, and none of those may be excluded.
fn applies(rule: &Rule, caps: u64) -> bool {
    let has = |name: &String| capabilities::number(name).is_some_and(|number| caps & (1 << number) != 0);
    let here = |name: &String| match name.as_str() {
        "amd64" | "x86" | "x32" => cfg!(target_arch = "x86_64"),
        "arm64" | "arm" => cfg!(target_arch = "aarch64"),
        _ => false,
    };
    let includes = rule.includes.as_ref().is_none_or(|filter| {
        filter.caps.as_ref().is_none_or(|names| names.iter().all(has))
            && filter.arches.as_ref().is_none_or(|names| names.is_empty() || names.iter().any(here))
            && filter.min_kernel.as_ref().is_none_or(|kernel| kernel_is_at_least(kernel))
    });
    let excludes = rule.excludes.as_ref().is_some_and(|filter| {
        filter.caps.as_ref().is_some_and(|names| names.iter().any(has))
            || filter.arches.as_ref().is_some_and(|names| names.iter().any(here))
            || filter.min_kernel.as_ref().is_some_and(|kernel| kernel_is_at_least(kernel))
    });
    includes && !excludes
}

fn kernel_is_at_least(wanted: &str) -> bool {
    let version = |text: &str| -> Vec<u32> {
        text.split(|c: char| !c.is_ascii_digit()).take(2).filter_map(|part| part.parse().ok()).collect()
    };
    version(&rustix::system::uname().release().to_string_lossy()) >= version(wanted)
}

fn action(name: &str, errno: Option<u16>) -> Result<Action, ProfileError> {
    Ok(match name {
        "SCMP_ACT_ALLOW" => Action::Allow,
        "SCMP_ACT_LOG" => Action::Log,
        "SCMP_ACT_ERRNO" => Action::Errno(errno.unwrap_or(libc::EPERM as u16)),
        "SCMP_ACT_TRAP" => Action::Trap,
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Action::KillThread,
        "SCMP_ACT_KILL_PROCESS" => Action::KillProcess,
        _ => return Err(ProfileError::Unknown { what: "action", name: name.to_owned() }),
    })
}

fn conditions(rule: &Rule) -> Result<Vec<Condition>, ProfileError> {
    let args = rule.args.as_deref().unwrap_or_default();
    args.iter()
        .map(|arg| {
            let value = arg.value;
            let test = match arg.op.as_str() {
                "SCMP_CMP_NE" => Test::NotEqual(value),
                "SCMP_CMP_LT" => Test::Less(value),
                "SCMP_CMP_LE" => Test::LessOrEqual(value),
                "SCMP_CMP_EQ" => Test::Equal(value),
                "SCMP_CMP_GE" => Test::GreaterOrEqual(value),
                "SCMP_CMP_GT" => Test::Greater(value),
                "SCMP_CMP_MASKED_EQ" => Test::Masked { mask: value, value: arg.value_two },
                _ => return Err(ProfileError::Unknown { what: "operator", name: arg.op.clone() }),
            };
            if arg.index > 5 {
                return Err(ProfileError::Unknown { what: "argument", name: arg.index.to_string() });
            }
            Ok(Condition { argument: arg.index, test })
        })
        .collect()
}
