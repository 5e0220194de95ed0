//! Why a tarball is refused: one variant per reason, so that whoever reads it can tell an accident from
//! an attack. Decides nothing itself.

use trust::manifest::ManifestError;

/// Why a tarball is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TarballError {
    /// More bytes than allowed.
    #[error("tarball has {found} bytes, expected at most {limit}")]
    Compressed {
        /// Its size.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// Unpacks to more than allowed.
    #[error("tarball unpacks to more than {limit} bytes")]
    Unpacked {
        /// The limit.
        limit: u64,
    },
    /// Does not begin like gzip.
    #[error("not a gzip file")]
    NotGzip,
    /// The gzip stream ends early or was damaged.
    #[error("gzip stream is truncated or damaged: {reason}")]
    Gzip {
        /// What the reader says.
        reason: String,
    },
    /// A second gzip member: some readers go on with it, others stop.
    #[error("a second gzip stream of {found} bytes follows the first, expected one")]
    SecondMember {
        /// Bytes from its start.
        found: usize,
    },
    /// Bytes behind the gzip stream that are not padding.
    #[error("{found} bytes follow the gzip stream, expected none, or zeros")]
    Trailing {
        /// How many.
        found: usize,
    },
    /// The archive ends inside an entry.
    #[error("archive ends early, inside {inside}")]
    Truncated {
        /// A header, or a path.
        inside: String,
    },
    /// Something other than zeros behind the archive's end.
    #[error("data follows the end of the archive")]
    AfterEnd,
    /// A header that two readers could read differently.
    #[error("header of entry {entry} is refused: {problem}")]
    Header {
        /// Which entry, from 0, extended headers included.
        entry: usize,
        /// What is wrong.
        problem: HeaderProblem,
    },
    /// An extended header that changes how the next entry is read.
    #[error("extended header holds {key:?}, expected only path, times, owners and comments")]
    Extension {
        /// The key, made printable.
        key: String,
    },
    /// An extended header that does not keep to its format.
    #[error("extended header is malformed")]
    MalformedExtension,
    /// An extended header beyond its limit.
    #[error("extended header has {found} bytes, expected at most {limit}")]
    LargeExtension {
        /// Its size.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// Too many entries.
    #[error("archive has more than {limit} entries")]
    Entries {
        /// The limit.
        limit: usize,
    },
    /// All paths together are too long.
    #[error("archive has more than {limit} bytes of paths")]
    Paths {
        /// The limit.
        limit: usize,
    },
    /// Neither a file nor a directory.
    #[error("{path:?} is a {kind}, expected files and directories only")]
    Kind {
        /// The path, made printable.
        path: String,
        /// What it is.
        kind: EntryKind,
    },
    /// A path that leads elsewhere, or that a file system or a terminal could misread.
    #[error("path {path:?} is refused: {problem}")]
    Path {
        /// The path, made printable.
        path: String,
        /// What is wrong.
        problem: PathProblem,
    },
    /// No package.json where npm looks for it.
    #[error("archive holds no package.json")]
    NoManifest,
    /// A package.json beyond its limit.
    #[error("package.json has {found} bytes, expected at most {limit}")]
    LargeManifest {
        /// Its size.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// A package.json that is not JSON, or too deep.
    #[error("package.json is not JSON: {reason}")]
    ManifestJson {
        /// What the reader says.
        reason: String,
    },
    /// A package.json whose fields are not what npm reads.
    #[error("package.json cannot be used")]
    Manifest {
        /// Which field, and why.
        #[source]
        source: ManifestError,
    },
}

/// What is wrong with a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderProblem {
    /// npm skips such a header and reads the contents as headers.
    #[error("its checksum is wrong")]
    Checksum,
    /// Readers differ on where it ends.
    #[error("a text field goes on behind its end")]
    Text,
    /// Not octal digits, or binary.
    #[error("a number is not octal")]
    Number,
    /// npm skips a file with a link target and reads its contents as headers.
    #[error("a file or directory has a link target")]
    LinkTarget,
    /// npm reads the contents of a directory as headers.
    #[error("a directory has contents")]
    DirectoryContents,
    /// Readers differ on which of two counts.
    #[error("its size is not the one in its extended header")]
    OtherSize,
    /// Some read it as a directory.
    #[error("a file's name ends like a directory's")]
    FileNamedDirectory,
}

/// What an entry is, when it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EntryKind {
    /// `1`.
    #[error("hard link")]
    HardLink,
    /// `2`.
    #[error("symbolic link")]
    SymbolicLink,
    /// `3`, `4`.
    #[error("device")]
    Device,
    /// `6`.
    #[error("pipe")]
    Pipe,
    /// `S`.
    #[error("sparse file")]
    Sparse,
    /// `K`: only links have one.
    #[error("long link target")]
    LongLink,
    /// Anything else.
    #[error("special entry")]
    Special,
}

/// What is wrong with a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathProblem {
    /// Not UTF-8.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// Too long.
    #[error("it has {found} bytes, expected at most {limit}")]
    TooLong {
        /// Its length.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// Begins with a slash.
    #[error("it is absolute")]
    Absolute,
    /// Holds `..`.
    #[error("it leads out of the package")]
    Escapes,
    /// Holds an empty component or `.`.
    #[error("it holds an empty or a dot component")]
    EmptyComponent,
    /// `c:`, which npm takes off.
    #[error("it names a drive")]
    Drive,
    /// Windows takes dots and spaces off the end of a name.
    #[error("a name in it ends with a dot or a space")]
    TrailingDot,
    /// Control characters, or ones that hide or turn text.
    #[error("it holds control or hidden characters")]
    Hidden,
    /// A separator on one system, a character on another.
    #[error("it holds a backslash")]
    Backslash,
    /// Without a folder to strip.
    #[error("it lies beside the package's folder")]
    OutsideFolder,
    /// Twice in the archive.
    #[error("it is there twice")]
    Twice,
    /// The same place as another path where case or composition of letters does not count.
    #[error("it is the same place as another path on file systems that fold case")]
    TwiceFolded,
    /// A file where a folder must be.
    #[error("it is a file and a folder")]
    FileAndFolder,
}
