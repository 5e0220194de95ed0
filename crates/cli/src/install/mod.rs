//! `3pm install` and `3pm verify`. Not wired yet: both say so and fail.

use crate::args::{InstallArgs, VerifyArgs};
use crate::context::Context;
use crate::errors::{Failure, Outcome};

/// `3pm install`.
pub(crate) async fn run_install(_: &Context, _: InstallArgs) -> Outcome {
    Err(Failure::unknown("3pm install is not part of this build yet; nothing was checked and nothing installed"))
}

/// `3pm verify`.
pub(crate) async fn run_verify(_: &Context, _: VerifyArgs) -> Outcome {
    Err(Failure::unknown("3pm verify is not part of this build yet; nothing was checked"))
}
