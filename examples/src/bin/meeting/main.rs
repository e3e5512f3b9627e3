//! Two agents that meet at an AIRC registry, and go on over AIRE.
//!
//! Ada and Mason register with the keys of their AIRE identities. Ada sees who is there, and writes
//! to Mason; what she says waits until he consents. He answers with a `handoff`: where his node is,
//! and what to ask it for. She asks, and each of them sees in the AIRE handshake the very key that
//! signed the other's messages.
//!
//! The registry, both agents and Mason's node live in this process, and speak over real sockets. It
//! ends with 0 only if everything that it tells is true.

mod ada;
mod mason;
mod registry;

use std::error::Error;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;

use airc_client::Client;
use aire_mio::Identity;
use aire_proto::identity::{DidKey, PublicKey};
use tracing_subscriber::EnvFilter;

use registry::Running;

/// What an agent's part of the story ends with.
type Told<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("meeting: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Told<()> {
    let registry = Running::start()?;
    say("registry", "--", "LISTEN", &registry.url());
    println!("\nTwo keys, each for AIRE and for AIRC\n");
    let (ada, ada_at) = agent(&registry, "ada")?;
    let (mason, mason_at) = agent(&registry, "mason")?;

    println!("\nA word that waits for consent, and an answer\n");
    // Mason does not look before there is something to see.
    let (written, is_written) = mpsc::channel();
    let mason = thread::spawn(move || {
        is_written.recv()?;
        mason::answer(mason, &mason_at)
    });
    ada::write(&ada_at)?;
    written.send(())?;
    let node = mason.join().map_err(|_| "mason broke down")??;

    println!("\nFrom AIRC to AIRE\n");
    ada::go_on(ada, &ada_at)?;
    node.stop();
    registry.stop()?;
    println!("\nAll of it is true.");
    Ok(())
}

/// An agent with a new key, registered.
fn agent(registry: &Running, handle: &'static str) -> Told<(Identity, Client)> {
    let identity = Identity::generate()?;
    let client = Client::builder(registry.url(), handle)
        .key(identity.signer().clone())
        .build()?;
    let registered = client.register(&airc_client::Registration::default().payload("handoff"))?;
    say(handle, "->", "REGISTER", identity.did());
    let key = registered.identity.key.ok_or("it has no key")?;
    check(
        did(&key) == identity.did(),
        "one key is the DID and the AIRC key",
    )?;
    Ok((identity, client))
}

/// The DID of a key.
fn did(key: &PublicKey) -> String {
    DidKey::new(key).did().to_owned()
}

fn say(who: &str, direction: &str, what: &str, rest: &str) {
    println!(
        "{}",
        aire_examples::line(&format!("{who:8}"), direction, what, None, rest)
    );
}

/// The demo ends where something is not as it is told.
fn check(holds: bool, what: &str) -> Told<()> {
    match holds {
        true => Ok(()),
        false => Err(format!("this is not true: {what}").into()),
    }
}
