//! Every exit code of `3pm`, for scripts. The page for people is docs/exit-codes.md; a test holds the two
//! together. Decides nothing: which code a command ends with is the command's matter.

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ExitCode(u8);

/// What was asked for is done, and nothing was found that policy denies.
pub(crate) const FINE: ExitCode = ExitCode(0);
/// It could not be found out, or could not be done: somebody did not answer, or answered nonsense.
pub(crate) const UNKNOWN: ExitCode = ExitCode(1);
/// The command line or the configuration cannot be used.
pub(crate) const USAGE: ExitCode = ExitCode(2);
/// Nobody agreed: the answer was no, or there was nobody to ask and no `--yes`.
pub(crate) const NOT_CONFIRMED: ExitCode = ExitCode(3);
/// It is known that this cannot be done as things stand: not a member, version taken, proposal closed.
pub(crate) const NOT_POSSIBLE: ExitCode = ExitCode(4);
/// Not finished within the time that was given; the hint says how to go on.
pub(crate) const WAITING: ExitCode = ExitCode(5);
/// A member warns of this release.
pub(crate) const FLAGGED: ExitCode = ExitCode(10);
/// 3pm knows nothing of this name, and policy wants it to.
pub(crate) const NOT_ENROLLED: ExitCode = ExitCode(11);
/// From before the claim, and policy denies that.
pub(crate) const LEGACY: ExitCode = ExitCode(12);
/// A dependency that comes from no registry, and policy denies that.
pub(crate) const NON_REGISTRY: ExitCode = ExitCode(13);
/// Out for less than the policy's minimum release age.
pub(crate) const YOUNG: ExitCode = ExitCode(14);
/// Recorded, but still within its delay.
pub(crate) const COOLING: ExitCode = ExitCode(20);
/// Enrolled, yet nobody signed this version.
pub(crate) const UNRECORDED: ExitCode = ExitCode(30);
/// Stopped by a maintainer.
pub(crate) const VETOED: ExitCode = ExitCode(40);
/// Taken back by the maintainers.
pub(crate) const REVOKED: ExitCode = ExitCode(41);
/// Something differs from what was signed, or from what somebody said it was.
pub(crate) const MISMATCH: ExitCode = ExitCode(50);
/// Ended by Ctrl-C (128 + SIGINT, as shells say it).
pub(crate) const INTERRUPTED: ExitCode = ExitCode(130);

impl ExitCode {
    /// npm's own code, moved into 101..=199 so that it cannot be taken for one of ours.
    pub(crate) fn from_package_manager(code: i32) -> Self {
        match u8::try_from(code) {
            Ok(0) => FINE,
            Ok(code @ 1..=99) => Self(100 + code),
            Ok(code @ 100..=199) => Self(code),
            _ => Self(199),
        }
    }

    /// A program's own code, handed on as it is.
    pub(crate) fn of_program(code: i32) -> Self {
        Self(u8::try_from(code & 0xff).unwrap_or(1))
    }

    /// The number.
    pub(crate) fn number(self) -> u8 {
        self.0
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_on_the_page_once_and_the_worse_the_higher() {
        let page = include_str!("../../../docs/exit-codes.md");
        let codes = [
            FINE,
            UNKNOWN,
            USAGE,
            NOT_CONFIRMED,
            NOT_POSSIBLE,
            WAITING,
            FLAGGED,
            NOT_ENROLLED,
            LEGACY,
            NON_REGISTRY,
            YOUNG,
            COOLING,
            UNRECORDED,
            VETOED,
            REVOKED,
            MISMATCH,
            INTERRUPTED,
        ];
        for code in codes {
            let row = format!("| `{}` |", code.number());
            assert_eq!(page.matches(&row).count(), 1, "{row}");
        }
        assert!(codes.is_sorted());
    }

    #[test]
    fn npms_codes_keep_apart_from_ours() {
        for (npm, expected) in
            [(0, 0), (1, 101), (99, 199), (128, 128), (130, 130), (243, 199), (-1, 199), (512, 199)]
        {
            assert_eq!(ExitCode::from_package_manager(npm).number(), expected, "{npm}");
        }
    }
}
