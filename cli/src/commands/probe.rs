//! `aire probe`: a node, judged from outside against the specification.

use std::time::Duration;

use crate::common::identity::IdentityArgs;
use crate::common::trust::TrustArgs;
use crate::common::units::time;
use crate::{Error, Output};

/// Arguments of `aire probe`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The node: aire://host[:port].
    #[arg(required_unless_present = "list")]
    pub uri: Option<String>,
    /// An operation of the node that answers with its arguments, as AGENT/OPERATION.
    #[arg(long, value_name = "AGENT/OPERATION", default_value = "echo/echo")]
    pub echo: String,
    /// Only the checks of these requirements, or with these names: SIG-9, double-hello.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub only: Vec<String>,
    /// All but these.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub skip: Vec<String>,
    /// Print the checks, and run none.
    #[arg(long)]
    pub list: bool,
    /// How long a check waits for what should happen.
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "10s")]
    pub timeout: Duration,
    /// Which servers to believe.
    #[command(flatten)]
    pub trust: TrustArgs,
    /// Who asks.
    #[command(flatten)]
    pub identity: IdentityArgs,
}

/// Probes, and prints a table.
///
/// # Errors
/// [`Error::Failed`] when a check failed; [`Error::Library`] when the node cannot be reached.
pub fn run(_args: &Args, _out: &mut Output) -> Result<(), Error> {
    Err(Error::Failed("`aire probe` is not built yet".into()))
}
