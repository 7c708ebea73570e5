//! Time for people: `2 minutes ago`, `Up 3 seconds (healthy)`, and RFC 3339 for machines.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use orchestrator::engine::container::{ContainerState, Health};
use runtime::state::calendar;

/// Returns a length of time in Docker's words: `Less than a second`, `About a minute`, `5 hours`.
pub(crate) fn words(length: Duration) -> String {
    let (seconds, minutes, hours) = (length.as_secs(), length.as_secs() / 60, (length.as_secs() + 1800) / 3600);
    match () {
        () if seconds < 1 => "Less than a second".into(),
        () if seconds == 1 => "1 second".into(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".into(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".into(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        () if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", hours / 24 / 365),
    }
}

/// Returns how long ago `then` was: `2 minutes ago`.
pub(crate) fn ago(then: SystemTime, now: SystemTime) -> String {
    format!("{} ago", words(now.duration_since(then).unwrap_or_default()))
}

/// Returns the STATUS column of `ps`.
pub(crate) fn status(state: &ContainerState, now: SystemTime) -> String {
    match state {
        ContainerState::Created => "Created".into(),
        ContainerState::Running { since, health } => {
            let up = format!("Up {}", words(now.duration_since(*since).unwrap_or_default()));
            match health {
                None => up,
                Some(Health::Starting) => format!("{up} (health: starting)"),
                Some(Health::Healthy) => format!("{up} (healthy)"),
                Some(Health::Unhealthy { .. }) => format!("{up} (unhealthy)"),
            }
        }
        ContainerState::Paused { since } => {
            format!("Up {} (Paused)", words(now.duration_since(*since).unwrap_or_default()))
        }
        ContainerState::Restarting { exit_code, at, .. } => format!("Restarting ({exit_code}) {}", ago(*at, now)),
        ContainerState::Exited { exit_code, at, .. } => format!("Exited ({exit_code}) {}", ago(*at, now)),
        ContainerState::Dead { .. } => "Dead".into(),
        ContainerState::Removed => "Removed".into(),
    }
}

/// Returns `2026-11-24T16:42:00.123456789Z`.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (year, month, day) = calendar::date(i64::try_from(since.as_secs() / 86400).unwrap_or(0));
    let second = since.as_secs() % 86400;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:09}Z",
        second / 3600,
        second / 60 % 60,
        second % 60,
        since.subsec_nanos()
    )
}

/// Returns `2026-11-24 16:42:00 +0000 UTC`, as `ps --format json` has it.
pub(crate) fn go_time(time: SystemTime) -> String {
    let text = rfc3339(time);
    format!("{} {} +0000 UTC", &text[..10], &text[11..19])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_said_as_docker_says_them() {
        let says = |seconds| words(Duration::from_secs(seconds));
        assert_eq!(says(0), "Less than a second");
        assert_eq!(says(59), "59 seconds");
        assert_eq!(says(61), "About a minute");
        assert_eq!(says(3600), "About an hour");
        assert_eq!(says(3 * 86400), "3 days");
        assert_eq!(says(20 * 86400), "2 weeks");
    }

    #[test]
    fn a_running_container_tells_its_health() {
        let now = UNIX_EPOCH + Duration::from_secs(100);
        let since = UNIX_EPOCH + Duration::from_secs(97);
        let running = |health| status(&ContainerState::Running { since, health }, now);
        assert_eq!(running(None), "Up 3 seconds");
        assert_eq!(running(Some(Health::Starting)), "Up 3 seconds (health: starting)");
        assert_eq!(running(Some(Health::Healthy)), "Up 3 seconds (healthy)");
        let exited = ContainerState::Exited { exit_code: 137, at: since, out_of_memory: false };
        assert_eq!(status(&exited, now), "Exited (137) 3 seconds ago");
        assert_eq!(status(&ContainerState::Paused { since }, now), "Up 3 seconds (Paused)");
        let restarting = ContainerState::Restarting { exit_code: 3, attempts: 2, at: since };
        assert_eq!(status(&restarting, now), "Restarting (3) 3 seconds ago");
    }

    #[test]
    fn moments_are_rfc_3339_in_utc() {
        let time = UNIX_EPOCH + Duration::new(1_709_164_800 + 3661, 5);
        assert_eq!(rfc3339(time), "2024-02-29T01:01:01.000000005Z");
        assert_eq!(go_time(time), "2024-02-29 01:01:01 +0000 UTC");
        assert_eq!(rfc3339(UNIX_EPOCH), "1970-01-01T00:00:00.000000000Z");
    }
}
