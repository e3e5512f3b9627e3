//! What all of `aire` has in common: help, manual, completions, and how it prints.

mod support;

use std::io::Read as _;
use std::process::Stdio;

use support::Home;

#[test]
fn the_help_and_the_manual_tell_the_exit_codes() {
    let home = Home::new();
    let help = home.run(&["--help"]).good();
    let manual = home.run(&["man"]).good();
    for text in [&help, &manual] {
        assert!(text.contains("130  Cancelled with Ctrl"), "{text}");
    }
    assert!(manual.contains(".TH aire 1"));
}

#[test]
fn every_subcommand_has_a_manual_page() {
    let home = Home::new();
    home.run(&["man", "--dir", "pages"]).good();
    let help = home.run(&["--help"]).good();
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands: Vec<_> = commands
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(commands.len() >= 12, "{commands:?}");
    for name in commands {
        let page = home.path().join(format!("pages/aire-{name}.1"));
        let page = std::fs::read_to_string(page).expect(name);
        assert_eq!(page, home.run(&["man", name]).good());
    }
    let ran = home.run(&["man", "nothing"]);
    assert_eq!(ran.code(), Some(2));
    assert!(ran.stderr().contains("no command `nothing`"));
}

#[test]
fn shells_are_told_how_to_complete() {
    let home = Home::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = home.run(&["completions", shell]).good();
        assert!(script.contains("keygen"), "{shell}");
    }
    assert_eq!(home.run(&["completions", "csh"]).code(), Some(2));
}

#[test]
fn who_closes_the_pipe_has_seen_enough() {
    let home = Home::new();
    let mut child = home
        .command(&["completions", "zsh"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    drop(child.stdout.take());
    let mut said = String::new();
    let mut stderr = child.stderr.take().expect("a pipe");
    stderr.read_to_string(&mut said).expect("text");
    assert_eq!(
        (child.wait().expect("it ends").code(), said.as_str()),
        (Some(0), "")
    );
}

#[test]
fn colour_is_for_those_who_ask_for_it() {
    let home = Home::new();
    let fail = |args: &[&str], variable: Option<&str>| {
        let mut command = home.command(args);
        if let Some(name) = variable {
            command.env(name, "1");
        }
        let output = command.output().expect("it runs");
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).expect("text")
    };
    let plain = fail(&["did", "show"], None);
    assert!(plain.starts_with("aire: this needs a key"), "{plain}");
    assert_eq!(fail(&["did", "show"], Some("NO_COLOR")), plain);
    let coloured = fail(&["--color", "always", "did", "show"], Some("NO_COLOR"));
    assert!(coloured.starts_with('\x1b'), "{coloured}");
}

#[test]
fn a_command_that_does_not_exist_is_an_error_with_a_hint() {
    let home = Home::new();
    let ran = home.run(&["keygn"]);
    assert_eq!(ran.code(), Some(2));
    assert!(ran.stderr().contains("keygen"), "{}", ran.stderr());
}
