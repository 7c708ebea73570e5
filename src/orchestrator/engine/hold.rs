//! The right to change what bears one name, one command at a time.

/// Held while it lives; let go when dropped, also by a kill.
#[derive(Default)]
pub struct Hold(Option<Box<dyn Send + Sync>>);

impl Hold {
    /// Holds whatever `guard` holds.
    pub fn of(guard: impl Send + Sync + 'static) -> Self {
        Self(Some(Box::new(guard)))
    }

    /// Says whether anything keeps others out.
    pub fn is_exclusive(&self) -> bool {
        self.0.is_some()
    }
}
