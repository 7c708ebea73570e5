//! The variables that a project is read with: the process's, and those of `.env` files.

pub mod discovery;
pub mod dotenv;
pub mod naming;
pub mod precedence;
