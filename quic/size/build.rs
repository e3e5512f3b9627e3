//! Puts the linker's map of the memory where it looks for it.

use std::path::Path;
use std::{env, fs};

fn main() {
    let Some(out) = env::var_os("OUT_DIR") else {
        return;
    };
    let map = "MEMORY {\n  FLASH : ORIGIN = 0, LENGTH = 256K\n  RAM : ORIGIN = 0x20000000, LENGTH = 64K\n}\n";
    fs::write(Path::new(&out).join("memory.x"), map).expect("OUT_DIR cannot be written");
    println!("cargo:rustc-link-search={}", Path::new(&out).display());
    println!("cargo:rerun-if-changed=build.rs");
}
