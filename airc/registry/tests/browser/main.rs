//! The web page in Chromium. To be run by `make browser`.

#[path = "../support/mod.rs"]
mod support;

mod driver;

use serde_json::json;

use driver::{Browser, Scripts};
use support::{Stand, until};

/// A registry with some agents, and a browser that shows its page.
fn shown(scripts: Scripts) -> Option<(Stand, Browser)> {
    let browser = Browser::start(scripts)?;
    let stand = Stand::new();
    for (name, status, context) in [
        ("seth", "online", "building auth.js in TypeScript"),
        ("alex", "busy", "Reviewing retries; back at three"),
        ("mira_bot", "idle", "Überträgt Messwerte aus dem Labor"),
    ] {
        let agent = stand.agent(name);
        stand
            .beat(&agent, json!({ "status": status, "context": context }))
            .is(200);
    }
    browser.open(&stand.url("/"));
    if scripts == Scripts::On {
        browser.wait("document.querySelector('.live.on')");
        browser.wait("document.querySelectorAll('.agent').length === 3");
    }
    Some((stand, browser))
}

/// The handles in the list, in its order.
fn listed(browser: &Browser) -> String {
    browser.text("[...document.querySelectorAll('.agent .handle')].map((it) => it.textContent)")
}

#[test]
#[ignore = "needs Chromium: make browser"]
fn the_page_lists_who_is_online_and_on_what() {
    let Some((_stand, browser)) = shown(Scripts::On) else {
        return;
    };
    assert_eq!(listed(&browser), "@alex,@mira_bot,@seth");
    let row = browser.text("document.querySelector('.agent').innerText");
    assert!(
        row.contains("Reviewing retries") && row.contains("busy"),
        "{row}"
    );
    assert_eq!(
        browser.text("document.getElementById('summary').textContent"),
        "3 agents are here"
    );
    assert_eq!(
        browser.text("document.getElementById('count-busy').textContent"),
        "1"
    );
    browser.picture("light");
}

#[test]
#[ignore = "needs Chromium: make browser"]
fn whoever_comes_and_goes_is_seen_without_a_reload() {
    let Some((stand, browser)) = shown(Scripts::On) else {
        return;
    };
    browser.run("window.sameAsBefore = true");
    let nova = stand.agent("nova");
    stand
        .beat(
            &nova,
            json!({ "status": "online", "context": "just woke up" }),
        )
        .is(200);
    browser.wait("document.body.innerText.includes('just woke up')");
    assert_eq!(listed(&browser), "@alex,@mira_bot,@nova,@seth");
    stand
        .beat(&nova, json!({ "status": "busy", "context": "thinking" }))
        .is(200);
    browser.wait("document.body.innerText.includes('thinking')");
    browser.wait("document.getElementById('count-busy').textContent === '2'");
    stand.beat(&nova, json!({ "status": "offline" })).is(200);
    browser.wait("document.querySelectorAll('.agent').length === 3");
    // What a screen reader says.
    browser.wait("document.getElementById('news').textContent.includes('@nova left')");
    assert_eq!(browser.text("window.sameAsBefore"), "true");
}

#[test]
#[ignore = "needs Chromium: make browser"]
fn a_search_narrows_the_list() {
    let Some((stand, browser)) = shown(Scripts::On) else {
        return;
    };
    browser.press(&["/"]);
    assert_eq!(browser.text("document.activeElement.id"), "q");
    browser.type_into("#q", "AUTH");
    assert_eq!(listed(&browser), "@seth");
    assert!(browser.text("location.search").contains("q=AUTH"));
    // Whoever comes and does not match is not shown.
    let nova = stand.agent("nova");
    stand.beat(&nova, json!({ "context": "asleep" })).is(200);
    browser.wait("document.getElementById('count-all').textContent === '4'");
    assert_eq!(listed(&browser), "@seth");
    browser.type_into("#q", "\u{e00c}");
    assert_eq!(listed(&browser), "@alex,@mira_bot,@nova,@seth");
    browser.click("input[value=busy]");
    assert_eq!(listed(&browser), "@alex");
    browser.type_into("#q", "nobody like this");
    browser.wait("!document.getElementById('empty').hidden");
    assert_eq!(
        browser.text("document.getElementById('empty').textContent"),
        "Nobody matches."
    );
    browser.picture("nobody");
    // A search is kept in the address.
    browser.open(&stand.url("/?q=%40mira"));
    browser.wait("document.querySelector('.live.on')");
    browser.wait("document.querySelectorAll('.agent').length === 1");
    assert_eq!(listed(&browser), "@mira_bot");
}

#[test]
#[ignore = "needs Chromium: make browser"]
fn the_page_is_dark_where_people_want_it_dark() {
    let Some((stand, browser)) = shown(Scripts::On) else {
        return;
    };
    let ground = "getComputedStyle(document.body).backgroundColor";
    let prefer = |scheme: &str| {
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        browser.chromium(
            "Emulation.setEmulatedMedia",
            json!({ "features": [feature] }),
        );
    };
    prefer("light");
    let light = browser.text(ground);
    prefer("dark");
    let dark = browser.text(ground);
    assert_ne!(light, dark);
    browser.picture("dark");
    // The switch goes from the system's to light, to dark, and is remembered.
    browser.click("#theme");
    assert_eq!(browser.text(ground), light);
    browser.click("#theme");
    assert_eq!(browser.text(ground), dark);
    prefer("light");
    browser.open(&stand.url("/"));
    browser.wait("document.querySelector('.live.on')");
    assert_eq!(browser.text(ground), dark);
    browser.click("#theme");
    assert_eq!(browser.text(ground), light);
}

#[test]
#[ignore = "needs Chromium: make browser"]
fn nothing_is_cut_off_on_a_phone() {
    let Some((stand, browser)) = shown(Scripts::On) else {
        return;
    };
    let long = stand.agent("a_handle_of_thirty_two_letters_x");
    stand
        .beat(
            &long,
            json!({ "status": "busy", "context": "w".repeat(280) }),
        )
        .is(200);
    browser.wait("document.querySelectorAll('.agent').length === 4");
    for width in [320, 390] {
        let screen =
            json!({ "width": width, "height": 740, "deviceScaleFactor": 2, "mobile": true });
        browser.chromium("Emulation.setDeviceMetricsOverride", screen);
        let wide = browser.run(
            "const page = document.scrollingElement; return page.scrollWidth - page.clientWidth",
        );
        assert_eq!(wide, 0, "it scrolls sideways at {width}");
        let sticking_out = browser.run(
            "return [...document.querySelectorAll('body *')].filter((it) => \
             it.getClientRects().length && it.getBoundingClientRect().right > innerWidth + 1 \
             && !it.closest('.unseen, .skip')).map((it) => it.className)",
        );
        assert_eq!(sticking_out, json!([]), "{width}");
    }
    browser.picture("phone");
}

#[test]
#[ignore = "needs Chromium: make browser"]
fn whatever_an_agent_says_stays_text() {
    let Some((stand, browser)) = shown(Scripts::On) else {
        return;
    };
    let mallory = stand.agent("mallory");
    let hostile = "<img src=x onerror=\"window.harmed=1\"><script>window.harmed=1</script>\
                   \u{202e}&lt;b&gt;</li>";
    stand.beat(&mallory, json!({ "context": hostile })).is(200);
    browser.wait("document.querySelectorAll('.agent').length === 4");
    let shown = "[...document.querySelectorAll('.context')].map((it) => it.textContent)";
    let texts = browser.run(&format!("return {shown}"));
    assert!(
        texts.as_array().unwrap().contains(&hostile.into()),
        "{texts}"
    );
    // The same from the server, before any script runs.
    let page = stand.get("/").text.clone();
    assert!(!page.contains("<img src=x") && !page.contains("<script>window"));
    browser.open(&stand.url("/?q=%22%3E%3Cscript%3Ewindow.harmed%3D1%3C/script%3E"));
    browser.wait("document.querySelector('.live.on')");
    assert_eq!(browser.text("window.harmed"), "undefined");
    assert_eq!(
        browser.text("document.querySelectorAll('img:not([src=\"icon.svg\"])').length"),
        "0"
    );
    // Even a script that got in would not run.
    browser.run(
        "const it = document.createElement('script'); try { it.textContent = 'window.harmed=1'; \
                 document.body.append(it) } catch {}",
    );
    assert_eq!(browser.text("window.harmed"), "undefined");
}

#[test]
#[ignore = "needs Chromium: make browser"]
fn the_page_works_without_scripts() {
    let Some((_stand, browser)) = shown(Scripts::Off) else {
        return;
    };
    assert_eq!(listed(&browser), "@alex,@mira_bot,@seth");
    // What needs scripts is not there.
    for id in ["filters", "theme", "live"] {
        let rects = format!("document.getElementById('{id}').getClientRects().length");
        assert_eq!(browser.text(&rects), "0", "{id}");
    }
    browser.picture("without-scripts");
    browser.type_into("#q", "labor");
    browser.click("#go");
    until("the answer", || {
        (listed(&browser) == "@mira_bot").then_some(())
    });
}

#[test]
#[ignore = "needs Chromium: make browser"]
fn everything_has_a_name_and_is_reached_by_keys() {
    let Some((_stand, browser)) = shown(Scripts::On) else {
        return;
    };
    let nameless = browser.run(
        "return [...document.querySelectorAll('input')].filter((it) => !it.labels.length).length \
         + [...document.querySelectorAll('a, button')].filter((it) => !it.innerText.trim()).length",
    );
    assert_eq!(nameless, 0);
    assert_eq!(
        browser.text("document.getElementById('news').getAttribute('aria-live')"),
        "polite"
    );
    assert_eq!(browser.text("document.documentElement.lang"), "en");
    let mut reached = Vec::new();
    for _ in 0..6 {
        browser.press(&["\u{e004}"]);
        reached.push(browser.text(
            "document.activeElement.id || document.activeElement.name || document.activeElement.className",
        ));
    }
    assert_eq!(
        reached,
        ["skip", "theme", "q", "status", "handle", "handle"]
    );
    let outline = browser.text("getComputedStyle(document.activeElement).outlineStyle");
    assert_eq!(outline, "solid", "the focus can be seen");
}

#[test]
#[ignore = "needs Chromium: make browser"]
fn a_registry_that_comes_back_is_found_again() {
    let Some((mut stand, browser)) = shown(Scripts::On) else {
        return;
    };
    let stopping = stand.stop_in_background();
    stand.wait_for(stopping);
    browser.wait("document.getElementById('live-text').textContent === 'Reconnecting'");
    stand.start_again();
    let alex = support::Agent::new("alex");
    stand
        .beat(&alex, json!({ "context": "back again" }))
        .is(200);
    browser.wait("document.body.innerText.includes('back again')");
    browser.wait("document.querySelector('.live.on')");
}
