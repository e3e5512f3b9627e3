//! Puts the linker scripts of the chosen board where the linker looks for them.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    let board = match (cfg!(feature = "lm3s6965evb"), cfg!(feature = "mps2-an386")) {
        (true, false) => "lm3s6965evb",
        (false, true) => "mps2-an386",
        _ => panic!("choose one board: --features lm3s6965evb or --features mps2-an386"),
    };
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let read = |name: &str| fs::read_to_string(format!("memory/{name}")).expect("a linker script");
    let memory = read(&format!("{board}.x")) + &read("sections.x");
    fs::write(out.join("memory.x"), memory).expect("OUT_DIR is writable");
    // The interrupt table has no weak names to resolve: board/ fills it in itself.
    fs::write(out.join("device.x"), "").expect("OUT_DIR is writable");
    println!("cargo:rustc-link-search={}", out.display());
    println!("cargo:rerun-if-changed=memory");
}
