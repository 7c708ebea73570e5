//! The right to change what bears one name, one command at a time.

/// Returns the name that is held while containers of a project are restarted.
pub fn restart_of(project: &str) -> String {
    format!("{project}.restart")
}

/// Held while it lives; let go when dropped, also by a kill.
#[derive(Default)]
pub struct Hold(#[expect(dead_code, reason = "it is there to be dropped")] Option<Box<dyn Send + Sync>>);

impl Hold {
    /// Holds whatever `guard` holds.
    pub fn of(guard: impl Send + Sync + 'static) -> Self {
        Self(Some(Box::new(guard)))
    }
}
