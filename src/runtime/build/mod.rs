//! (rooms of build)
pub mod cache;
pub mod context;
pub mod dockerfile;
pub mod execute;
pub mod ignore;
pub mod stages;
