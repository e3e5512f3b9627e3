//! A browser: Chromium, by the W3C's WebDriver protocol, which is JSON over HTTP.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::support::{agent, until};

/// A browser with one window, and the program that drives it.
pub(crate) struct Browser {
    driver: Child,
    http: ureq::Agent,
    session: String,
    /// What Chromium keeps of its own.
    _profile: tempfile::TempDir,
}

/// How a browser starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scripts {
    On,
    Off,
}

impl Browser {
    /// A browser, or none where there is no Chromium and nobody insists.
    pub(crate) fn start(scripts: Scripts) -> Option<Self> {
        let driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut driver = match driver {
            Ok(driver) => driver,
            Err(error) if std::env::var_os("CI").is_none() => {
                eprintln!("SKIPPED: there is no chromedriver: {error}");
                return None;
            }
            Err(error) => panic!("there is no chromedriver: {error}"),
        };
        let port = port_of(&mut driver);
        let profile = tempfile::TempDir::new().expect("a directory");
        let mut browser = Self {
            driver,
            http: agent(),
            session: format!("http://127.0.0.1:{port}/session"),
            _profile: profile,
        };
        let profile = browser._profile.path().display().to_string();
        let capabilities = capabilities(&profile, scripts);
        let made = browser.post(
            "",
            &json!({ "capabilities": { "alwaysMatch": capabilities } }),
        );
        let id = made["sessionId"].as_str().expect("a session");
        browser.session = format!("{}/{id}", browser.session);
        Some(browser)
    }

    fn post(&self, command: &str, body: &Value) -> Value {
        let url = format!("{}{command}", self.session);
        let mut answer = self
            .http
            .post(&url)
            .send(body.to_string())
            .expect("an answer");
        let text = answer
            .body_mut()
            .with_config()
            .limit(64 << 20)
            .read_to_string();
        let answer: Value = serde_json::from_str(&text.expect("text")).expect("JSON");
        let value = answer["value"].clone();
        assert!(value.get("error").is_none(), "{command}: {value}");
        value
    }

    pub(crate) fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// What a script returns that runs in the page.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// The text of whatever an expression is.
    pub(crate) fn text(&self, expression: &str) -> String {
        let value = self.run(&format!("return String({expression})"));
        value.as_str().expect("text").to_owned()
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub(crate) fn wait(&self, expression: &str) {
        until(expression, || {
            let is_true = self.run(&format!("return Boolean({expression})"));
            (is_true == true).then_some(())
        });
    }

    fn element(&self, selector: &str) -> String {
        let found = self.post(
            "/element",
            &json!({ "using": "css selector", "value": selector }),
        );
        let id = found.as_object().and_then(|found| found.values().next());
        id.and_then(Value::as_str).expect("an element").to_owned()
    }

    pub(crate) fn click(&self, selector: &str) {
        let element = self.element(selector);
        self.post(&format!("/element/{element}/click"), &json!({}));
    }

    /// Types into an element, as fingers would.
    pub(crate) fn type_into(&self, selector: &str, text: &str) {
        let element = self.element(selector);
        self.post(
            &format!("/element/{element}/value"),
            &json!({ "text": text }),
        );
    }

    /// Presses keys wherever the focus is.
    pub(crate) fn press(&self, keys: &[&str]) {
        let strokes: Vec<Value> = keys
            .iter()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key })))
            .collect();
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": strokes });
        self.post("/actions", &json!({ "actions": [keyboard] }));
    }

    /// A command of Chromium's own protocol.
    pub(crate) fn chromium(&self, command: &str, params: Value) {
        self.post(
            "/goog/cdp/execute",
            &json!({ "cmd": command, "params": params }),
        );
    }

    /// Writes what is to be seen to the directory that `AIRC_SCREENSHOTS` names, if it names one.
    pub(crate) fn picture(&self, name: &str) {
        let Some(dir) = std::env::var_os("AIRC_SCREENSHOTS") else {
            return;
        };
        let url = format!("{}/screenshot", self.session);
        let mut answer = self.http.get(&url).call().expect("an answer");
        let text = answer
            .body_mut()
            .with_config()
            .limit(64 << 20)
            .read_to_string();
        let answer: Value = serde_json::from_str(&text.expect("text")).expect("JSON");
        let picture = answer["value"].as_str().expect("a picture");
        let picture = BASE64.decode(picture.as_bytes()).expect("base64");
        let path = std::path::Path::new(&dir).join(format!("{name}.png"));
        std::fs::write(path, picture).expect("it is written");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Chromium ends with its session, and the driver when it is told to.
        let _ended = self.http.delete(&self.session).call();
        let _killed = self.driver.kill();
        let _reaped = self.driver.wait();
    }
}

/// The port that a driver says that it listens on.
fn port_of(driver: &mut Child) -> u16 {
    let stdout = driver.stdout.take().expect("it is piped");
    let mut lines = BufReader::new(stdout).lines();
    let port = lines.by_ref().find_map(|line| {
        let line = line.ok()?;
        let (_, port) = line.split_once("successfully on port ")?;
        port.trim_end_matches('.').parse().ok()
    });
    // What it says afterwards is of no interest, and must not fill the pipe.
    std::thread::spawn(move || lines.for_each(drop));
    port.expect("a port")
}

fn capabilities(profile: &str, scripts: Scripts) -> Value {
    let scripts = match scripts {
        Scripts::On => 1,
        Scripts::Off => 2,
    };
    json!({
        "browserName": "chrome",
        "goog:chromeOptions": {
            "args": [
                "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--disable-dev-shm-usage", "--disable-background-networking",
                "--disable-component-update", "--disable-sync", "--hide-scrollbars",
                "--window-size=1100,900", format!("--user-data-dir={profile}"),
            ],
            "prefs": { "profile.managed_default_content_settings.javascript": scripts },
        },
    })
}
