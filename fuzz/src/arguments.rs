//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use weir_fuzz::{TARGETS, Target, target};

/// What is printed to somebody who asks for something else.
pub(crate) const USAGE: &str = "usage: weir-fuzz [--target NAME|all] [--seconds N | --inputs N] [--seed N]
                 [--corpus DIR] [--artifacts DIR]
       weir-fuzz --target NAME --replay FILE...
       weir-fuzz --write-seeds";

/// When a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// After this time.
    Time(Duration),
    /// After so many changed inputs.
    Inputs(u64),
}

/// What to do.
#[derive(Debug)]
pub(crate) struct Arguments {
    /// At least one.
    pub(crate) targets: Vec<&'static Target>,
    pub(crate) stop: Stop,
    pub(crate) seed: u64,
    /// Folder with a folder for each target.
    pub(crate) corpus: PathBuf,
    /// Where failing inputs go.
    pub(crate) artifacts: PathBuf,
    pub(crate) replay: Option<Vec<PathBuf>>,
    pub(crate) write_seeds: bool,
    /// This process is the one that may be aborted.
    pub(crate) worker: bool,
}

impl Arguments {
    /// Reads the command line without the program's name.
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
        let home = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let mut arguments = Arguments {
            targets: TARGETS.iter().collect(),
            stop: Stop::Time(Duration::from_secs(10)),
            seed: 1,
            corpus: home.join("corpus"),
            artifacts: home.join("../target/fuzz"),
            replay: None,
            write_seeds: false,
            worker: false,
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("`{word}` wants a value"));
            let number = |text: String| text.parse::<u64>().map_err(|_| format!("`{text}` is not a number"));
            match word.as_str() {
                "--target" => {
                    let name = value()?;
                    if name != "all" {
                        let names = TARGETS.iter().map(|target| target.name).collect::<Vec<_>>().join(", ");
                        arguments.targets =
                            vec![target(&name).ok_or(format!("there is no target `{name}`; there are {names}"))?];
                    }
                }
                "--seconds" => arguments.stop = Stop::Time(Duration::from_secs(number(value()?)?)),
                "--inputs" => arguments.stop = Stop::Inputs(number(value()?)?),
                "--seed" => arguments.seed = number(value()?)?,
                "--corpus" => arguments.corpus = value()?.into(),
                "--artifacts" => arguments.artifacts = value()?.into(),
                "--replay" => arguments.replay = Some(words.by_ref().map(PathBuf::from).collect()),
                "--write-seeds" => arguments.write_seeds = true,
                "--worker" => arguments.worker = true,
                other => return Err(format!("unknown argument `{other}`")),
            }
        }
        if arguments.replay.as_ref().is_some_and(|files| files.is_empty() || arguments.targets.len() != 1) {
            return Err("`--replay` wants one `--target` before it and files behind it".to_owned());
        }
        Ok(arguments)
    }

    /// The time of a run in seconds; 0 for one that counts inputs.
    pub(crate) fn seconds(&self) -> u64 {
        match self.stop {
            Stop::Time(time) => time.as_secs(),
            Stop::Inputs(_) => 0,
        }
    }
}
