//! One page as a person uses it: look, wait, press, type; and what it complained of meanwhile.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix_web::rt;
use base64::Engine as _;
use serde_json::{Value, json};

use crate::cdp::Cdp;

/// How often an element may move away from under a finger.
const PRESSES_MAX: u32 = 5;
/// How long a person, or a browser on a busy machine, is given.
const PATIENCE_SECS: u64 = 45;
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Runs before the page's own code: remembers every connection it makes, so that a test can ask
/// the browser itself how many packets came and how many pictures were decoded.
const WATCH: &str = include_str!("watch.js");

/// What the page is shown on.
#[derive(Debug, Clone, Copy)]
pub enum Device {
    /// A small phone, upright.
    Phone,
    /// A doctor's screen.
    Desk,
}

/// One open page.
pub struct Page {
    cdp: Cdp,
    session: String,
    name: &'static str,
    complaints: Rc<RefCell<Vec<String>>>,
}

impl Page {
    pub async fn open(
        cdp: Cdp,
        session: &str,
        name: &'static str,
        device: Device,
        language: &str,
    ) -> Self {
        let complaints = Rc::<RefCell<Vec<String>>>::default();
        let page = Self { cdp, session: session.to_owned(), name, complaints };
        let heard = Rc::clone(&page.complaints);
        page.cdp.listen(session, move |event, what| {
            if let Some(complaint) = complaint(event, what) {
                heard.borrow_mut().push(complaint);
            }
        });
        for domain in ["Runtime", "Log", "Page", "Network"] {
            page.call(&format!("{domain}.enable"), json!({})).await;
        }
        page.becomes(device).await;
        let agent = page.eval("navigator.userAgent").await;
        let speaks = json!({"userAgent": agent, "acceptLanguage": language});
        page.call("Emulation.setUserAgentOverride", speaks).await;
        // Far from every clinic: a page that shows the device's time would be caught.
        page.call("Emulation.setTimezoneOverride", json!({"timezoneId": "Atlantic/Azores"})).await;
        page.before(WATCH).await;
        page
    }

    async fn call(&self, method: &str, params: Value) -> Value {
        self.cdp.call(&self.session, method, params).await
    }

    /// Runs `source` before the page's own code, from the next page on.
    pub async fn before(&self, source: &str) {
        self.call("Page.addScriptToEvaluateOnNewDocument", json!({"source": source})).await;
    }

    /// Shows the page on another screen.
    pub async fn becomes(&self, device: Device) {
        let (width, height, scale, phone) = match device {
            Device::Phone => (360, 740, 2, true),
            Device::Desk => (1280, 800, 1, false),
        };
        let screen =
            json!({"width": width, "height": height, "deviceScaleFactor": scale, "mobile": phone});
        self.call("Emulation.setDeviceMetricsOverride", screen).await;
        self.call("Emulation.setTouchEmulationEnabled", json!({"enabled": phone})).await;
    }

    /* Look */

    /// What the API answers to the very session of a page, past what the page has drawn.
    pub async fn ask(&self, path: &str) -> Value {
        self.api(&format!("get({})", quoted(path))).await
    }

    /// What the API answers to a deed of that session.
    pub async fn post(&self, path: &str, body: &Value) -> Value {
        self.api(&format!("post({}, {body})", quoted(path))).await
    }

    async fn api(&self, call: &str) -> Value {
        let body = format!(
            "const page = document.querySelector('script[type=module]').src; \
             const api = await import(page.replace(/[^/]+$/, 'api.js')); \
             return api.{call};"
        );
        self.run(&body).await
    }

    /// Nothing sticks out to the side, no words lie under one's own picture, every control has a name,
    /// and all words stand out.
    pub async fn assert_fits(&self) {
        // A phone zooms out until all of it is on the screen: `innerWidth` grows with what sticks out.
        let wide = "[document.documentElement.scrollWidth, \
                     Math.min(innerWidth, document.documentElement.clientWidth)]";
        let wide = self.eval(wide).await;
        assert!(wide[0].as_i64() <= wide[1].as_i64(), "{} is too wide: {wide}", self.name);
        let covered = self.eval("watched.covered()").await;
        assert_eq!(covered, json!([]), "{}: words lie under one's own picture", self.name);
        for scheme in ["dark", "light"] {
            let looks = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
            self.call("Emulation.setEmulatedMedia", looks).await;
            let hard = self.eval("watched.hard()").await;
            assert_eq!(hard, json!([]), "{}: hard to read or without a name, {scheme}", self.name);
        }
    }

    /// The value of an expression, awaited.
    pub async fn try_eval(&self, expression: &str) -> Result<Value, String> {
        let params = json!({
            "expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true
        });
        let answer = self.cdp.try_call(&self.session, "Runtime.evaluate", params).await?;
        match answer.get("exceptionDetails") {
            Some(thrown) => Err(words_of(thrown)),
            None => Ok(answer["result"]["value"].clone()),
        }
    }

    /// The value of an expression; an exception fails the test.
    pub async fn eval(&self, expression: &str) -> Value {
        match self.try_eval(expression).await {
            Ok(value) => value,
            Err(error) => panic!("{}: {expression}: {error}", self.name),
        }
    }

    /// What the body of an async function answers.
    pub async fn run(&self, body: &str) -> Value {
        self.eval(&format!("(async () => {{ {body} }})()")).await
    }

    /// The words in the first element of `selector`, once it is there.
    pub async fn text(&self, selector: &str) -> String {
        self.see(selector).await;
        let inner = format!("document.querySelector({}).innerText", quoted(selector));
        self.eval(&inner).await.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until an expression is true; until then it may fail, as it does while a page loads.
    pub async fn wait_for(&self, expression: &str) {
        self.wait_at_most(PATIENCE_SECS, &format!("Promise.resolve({expression}).then(Boolean)"))
            .await;
    }

    /// Waits until an expression has a value that is neither null nor false, and answers it.
    pub async fn wait_at_most(&self, seconds: u64, expression: &str) -> Value {
        let begun = Instant::now();
        let mut last = Ok(Value::Null);
        while begun.elapsed() < Duration::from_secs(seconds) {
            last = self.try_eval(expression).await;
            match &last {
                Err(_) | Ok(Value::Null | Value::Bool(false)) => {}
                Ok(value) => return value.clone(),
            }
            rt::time::sleep(LOOK_EVERY).await;
        }
        self.lament(&format!("waited {seconds} s for {expression}, last {last:?}")).await
    }

    /// Waits until an element is to be seen.
    pub async fn see(&self, selector: &str) {
        self.wait_for(&format!("watched.seen({})", quoted(selector))).await;
    }

    /* Act */

    /// Goes to an address and waits for the page to be there.
    pub async fn goto(&self, url: &str) {
        let answer = self.call("Page.navigate", json!({"url": url})).await;
        assert_eq!(answer.get("errorText"), None, "{url}");
        let arrived = format!(
            "location.href.startsWith({}) && document.readyState === 'complete'",
            quoted(url)
        );
        self.wait_for(&arrived).await;
    }

    /// Goes to another screen of the same page.
    pub async fn goto_hash(&self, hash: &str) {
        self.eval(&format!("location.hash = {}", quoted(hash))).await;
    }

    /// Loads the page anew, as a person does who pulls it down.
    pub async fn reload(&self) {
        self.eval("window.beforeReload = true").await;
        self.call("Page.reload", json!({})).await;
        self.wait_for("!window.beforeReload && document.readyState === 'complete'").await;
    }

    /// Presses an element where it is: it must be on the screen, usable, and under nothing else.
    pub async fn click(&self, selector: &str) {
        let place = format!("watched.place({})", quoted(selector));
        for _ in 0..PRESSES_MAX {
            let at = self.wait_at_most(PATIENCE_SECS, &place).await;
            for kind in ["mousePressed", "mouseReleased"] {
                let press = json!({"type": kind, "x": at["x"], "y": at["y"], "button": "left", "clickCount": 1});
                self.call("Input.dispatchMouseEvent", press).await;
            }
            // A press that leads to another page leaves nobody to ask.
            if self.try_eval("watched.pressed()").await.unwrap_or_default() != json!(false) {
                return;
            }
        }
        panic!("{}: {selector} moves away from under the finger", self.name);
    }

    /// Presses a key while the focus is wherever it is.
    pub async fn press(&self, key: &str) {
        let code = match key {
            "Enter" => 13,
            "Escape" => 27,
            "ArrowLeft" => 37,
            "ArrowUp" => 38,
            "ArrowRight" => 39,
            "ArrowDown" => 40,
            other => panic!("no such key in these tests: {other}"),
        };
        let mut down =
            json!({"type": "rawKeyDown", "key": key, "code": key, "windowsVirtualKeyCode": code});
        if key == "Enter" {
            down["type"] = json!("keyDown");
            down["text"] = json!("\r");
        }
        let up = json!({"type": "keyUp", "key": key, "code": key, "windowsVirtualKeyCode": code});
        for event in [down, up] {
            self.call("Input.dispatchKeyEvent", event).await;
        }
    }

    /// Puts the focus on an element.
    pub async fn focus(&self, selector: &str) {
        self.see(selector).await;
        self.eval(&format!("document.querySelector({}).focus()", quoted(selector))).await;
    }

    /// Drags what lies at one point of the screen to another: with the mouse, or with a finger
    /// that first rests.
    pub async fn drag(&self, from: (f64, f64), to: (f64, f64), finger: bool) {
        const STEPS: u32 = 12;
        let touch = |kind: &str, (x, y): (f64, f64)| {
            let points = if kind == "touchEnd" { json!([]) } else { json!([{"x": x, "y": y}]) };
            ("Input.dispatchTouchEvent", json!({"type": kind, "touchPoints": points}))
        };
        let mouse = |kind: &str, (x, y): (f64, f64)| {
            let event = json!({"type": kind, "x": x, "y": y, "button": "left", "buttons": 1, "clickCount": 1});
            ("Input.dispatchMouseEvent", event)
        };
        let say =
            |kind: [&str; 2], at| if finger { touch(kind[0], at) } else { mouse(kind[1], at) };
        let (method, event) = say(["touchStart", "mousePressed"], from);
        self.call(method, event).await;
        if finger {
            rt::time::sleep(Duration::from_millis(600)).await;
        }
        for step in 1..=STEPS {
            let part = f64::from(step) / f64::from(STEPS);
            let at = (from.0 + (to.0 - from.0) * part, from.1 + (to.1 - from.1) * part);
            let (method, event) = say(["touchMove", "mouseMoved"], at);
            self.call(method, event).await;
        }
        let (method, event) = say(["touchEnd", "mouseReleased"], to);
        self.call(method, event).await;
    }

    /// Writes into a field, after what stands there.
    pub async fn write(&self, selector: &str, text: &str) {
        self.click(selector).await;
        self.wait_for(&format!("document.activeElement?.matches({})", quoted(selector))).await;
        self.call("Input.insertText", json!({"text": text})).await;
    }

    /// Sets a field that a person sets with a picker.
    pub async fn choose(&self, selector: &str, value: &str) {
        self.see(selector).await;
        let body = format!(
            "const field = document.querySelector({}); field.value = {}; \
             field.dispatchEvent(new Event('change', {{ bubbles: true }}));",
            quoted(selector),
            quoted(value)
        );
        self.run(&body).await;
    }

    /* Tell */

    /// Draws a page when asked to: a few for the documents, the others beside what was built.
    pub async fn drawn(&self, name: &str, shown: bool) {
        if std::env::var_os("TEST_PICTURES").is_some() {
            let directory = if shown { "docs/pictures" } else { "target/pictures" };
            let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
            self.picture(&directory.join(format!("{name}.png"))).await;
        }
    }

    /// Saves what is to be seen at the top of the page.
    pub async fn picture(&self, file: &Path) {
        self.eval("scrollTo(0, 0)").await;
        let shot = self.call("Page.captureScreenshot", json!({"format": "png"})).await;
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(shot["data"].as_str().unwrap())
            .unwrap();
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, bytes).unwrap();
    }

    /// No exception went uncaught, nothing was written as an error, no rule of the page was broken.
    #[track_caller]
    pub fn assert_content(&self) {
        let complaints = self.complaints();
        assert!(complaints.is_empty(), "{} complained: {complaints:#?}", self.name);
    }

    pub fn complaints(&self) -> Vec<String> {
        self.complaints.borrow().clone()
    }

    /// Fails with what the person would see.
    async fn lament(&self, what: &str) -> ! {
        let file = std::env::temp_dir().join(format!("feldsher-failed-{}.png", self.name));
        self.picture(&file).await;
        let seen = self.try_eval("document.body.innerText").await.unwrap_or_default();
        let address = self.try_eval("location.href").await.unwrap_or_default();
        panic!(
            "{}: {what}\nat {address}, a picture is in {}\n--- the page says:\n{}\n--- it complained: {:#?}",
            self.name,
            file.display(),
            seen.as_str().unwrap_or_default(),
            self.complaints()
        );
    }
}

/// A complaint in an event. Requests that fail are not complaints: a line that is cut is part of the story.
fn complaint(event: &str, what: &Value) -> Option<String> {
    match event {
        "Runtime.exceptionThrown" => Some(words_of(&what["exceptionDetails"])),
        "Runtime.consoleAPICalled" if what["type"] == "error" => Some(what["args"].to_string()),
        "Log.entryAdded" => {
            let entry = &what["entry"];
            let ours = entry["level"] == "error" && entry["source"] != "network";
            ours.then(|| entry["text"].to_string())
        }
        _ => None,
    }
}

fn words_of(thrown: &Value) -> String {
    let exception = &thrown["exception"];
    let words = exception["description"].as_str().or(exception["value"].as_str());
    words.or(thrown["text"].as_str()).unwrap_or("an exception").to_owned()
}

/// A text as JavaScript reads it.
pub fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
