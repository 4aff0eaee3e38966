//! The console of `cargo local` in a browser: what a person sees of a message on its way, of calls
//! that are refused, and of everything that is broken on purpose.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::barriers::{barriers, keep};
use crate::chromium::{Browser, PATIENCE, Page};
use tests::{Business, CHANNELS, World};

/// A text that would be markup if anything read it as such.
const HOSTILE: &str = "<img src=x onerror=\"window.hacked=1\"><script>window.hacked=2</script> ' ` \
                       ${window.hacked=3} \u{202e} &amp; \\u003c";

/// A world whose providers report, and a console that shows a conversation of a business.
struct Scene {
    world: World,
    business: Business,
    page: Page,
}

/// Waits until an expression is true on a page, which looks at the system by a clock of its own:
/// that the system is idle says nothing.
async fn until(page: &Page, expression: &str) {
    let begun = Instant::now();
    while page.ask(expression).await != true {
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {expression}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl Scene {
    async fn of(browser: &Browser, channel: &str) -> Scene {
        let world = World::start().await;
        // The page's messages are in no ledger of the test's own.
        world.allow(|allowed| allowed.unheard = true);
        for provider in ["whatsapp", "email"] {
            world.report(provider, json!({})).await;
        }

        let business = world.business(2_000, 2).await;
        let conversation_id = business.conversation_id(channel);
        let page = browser.open(&format!("{}#{conversation_id}", world.ready.console)).await;
        let scene = Scene { world, business, page };
        scene.until("document.documentElement.dataset.ready === 'true'").await;
        scene.until("document.querySelector('#ledger dd') !== null").await;
        scene
    }

    /// Waits until an expression is true on the page.
    async fn until(&self, expression: &str) {
        until(&self.page, expression).await;
    }

    /// Waits until an element has this text in it.
    async fn until_shown(&self, selector: &str, text: &str) {
        let expression = format!(
            "[...document.querySelectorAll({})].some((one) => one.textContent.includes({}))",
            json!(selector),
            json!(text)
        );
        self.until(&expression).await;
    }

    async fn click(&self, selector: &str) {
        self.page.ask(&format!("document.querySelector({}).click()", json!(selector))).await;
    }

    /// Presses the button with this name.
    async fn press(&self, name: &str) {
        let found = format!(
            "[...document.querySelectorAll('button')].find((one) => one.textContent === {})",
            json!(name)
        );
        self.page.ask(&format!("{found}.click()")).await;
    }

    /// Picks an option of the field with this name.
    async fn pick(&self, field: &str, value: &str) {
        let change = format!(
            "(() => {{ const field = [...document.querySelectorAll('.field')] \
             .find((one) => one.firstChild.textContent === {}).querySelector('select'); \
             field.value = {}; field.dispatchEvent(new Event('change')) }})()",
            json!(field),
            json!(value)
        );
        self.page.ask(&change).await;
    }

    async fn write(&self, text: &str) {
        let write = format!("document.querySelector('#text').value = {}", json!(text));
        self.page.ask(&write).await;
    }

    async fn send(&self, text: &str) {
        self.write(text).await;
        self.page.ask("document.querySelector('#composer').requestSubmit()").await;
    }

    /// Attaches a file without picking it in a dialogue.
    async fn attach(&self, name: &str, content: &str) {
        let attach = format!(
            "(() => {{ const files = new DataTransfer(); \
             files.items.add(new File([{}], {}, {{ type: 'text/plain' }})); \
             const input = document.querySelector('#attach'); input.files = files.files; \
             input.dispatchEvent(new Event('change')) }})()",
            json!(content),
            json!(name)
        );
        self.page.ask(&attach).await;
    }

    /// Nothing went wrong on the page, nor ran in it that should not.
    async fn is_sound(&self) {
        assert_eq!(self.page.complaints().await, json!([]));
        assert_eq!(self.page.ask("window.hacked === undefined").await, true);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_seen_to_travel_on_every_channel() {
    let Some(browser) = Browser::start().await else { return };
    for channel in CHANNELS {
        let scene = Scene::of(&browser, channel).await;
        scene.send("Hi Anna, I found your order.").await;
        scene.until_shown(".message .text", "Hi Anna, I found your order.").await;
        scene
            .until(
                "/^(delivered|read)$/.test(document.querySelector('.message .state')?.textContent)",
            )
            .await;

        // Each step has its time, from the call to the customer.
        let timed = "[...document.querySelectorAll('.message .way li')].slice(0, 5) \
                     .every((step) => step.className === 'done' && step.lastChild.textContent)";
        scene.until(timed).await;
        scene.until_shown("#ledger", "with the customer1").await;

        // The call can be repeated in a shell, and its answer is the caller's.
        let conversation_id = scene.business.conversation_id(channel);
        let command = scene.page.ask("document.querySelector('.call .curl').textContent").await;
        let command = command.as_str().expect("a text");
        let url = format!("{}/api/v1/conversations/{conversation_id}", scene.world.ready.api);
        assert!(command.starts_with(&format!("curl -i '{url}/messages'")), "{command}");
        assert!(command.contains(&format!("Bearer {}", scene.business.api_key)), "{command}");
        scene.until_shown(".call .answer", "HTTP/1.1 201").await;
        scene.until_shown(".call .answer", "\"sender_type\":\"agent\"").await;

        let (place, text) = match channel {
            "whatsapp" => (".bubbles .theirs", "Hi Anna, I found your order."),
            "email" => (".mails .teaser", "Hi Anna, I found your order."),
            _ => (".address", "2 tabs connected"),
        };
        scene.until_shown(place, text).await;
        scene.is_sound().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_shows_as_its_caller_gets_it() {
    let Some(browser) = Browser::start().await else { return };
    let scene = Scene::of(&browser, "chat").await;
    scene.send("  ").await;
    scene.until_shown(".call summary", "422").await;
    scene.until_shown(".call .answer", "content-type: application/problem+json").await;
    scene.until_shown(".call .answer", "\"code\":\"validation_error\"").await;
    assert_eq!(scene.page.ask("document.querySelector('#text').value").await, "  ");

    scene.press("Only two more this month").await;
    scene.until_shown("#said", "2 messages this month").await;
    for number in 1..=2 {
        scene.send(&format!("number {number}")).await;
        scene.until(&format!("document.querySelectorAll('.message').length === {number}")).await;
    }
    scene.send("number 3").await;
    scene.until_shown(".call .answer", "\"code\":\"quota_exceeded\"").await;
    scene.until_shown("#month", "2 of 2 used").await;
    scene.is_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_people_write_is_text_everywhere() {
    let Some(browser) = Browser::start().await else { return };
    for channel in CHANNELS {
        let scene = Scene::of(&browser, channel).await;
        scene.attach("\"><img src=x onerror=window.hacked=4>.txt", "a note").await;
        scene.until_shown("#files", "onerror").await;
        scene.send(HOSTILE).await;
        scene.until_shown(".message .text", HOSTILE).await;
        scene.until_shown(".message .files", "onerror=window.hacked=4").await;
        scene.until_shown("#states", "<img src=x").await;

        if channel == "whatsapp" {
            scene.until_shown(".bubbles .theirs", "<script>").await;
            let answer = format!(
                "(() => {{ const form = document.querySelector('.phone form'); \
                 form.querySelector('input').value = {}; form.requestSubmit() }})()",
                json!(HOSTILE)
            );
            scene.page.ask(&answer).await;
            scene.until_shown(".bubbles .mine", "<script>").await;
            scene.until_shown("#requests", "/webhooks/whatsapp").await;
        }
        if channel == "email" {
            scene.until_shown(".mail h3", "Where is my parcel?").await;
            for form in ["Text", "Headers", "Raw", "HTML"] {
                scene.press(form).await;
                let is_open = format!(
                    "document.querySelector('.mail [aria-pressed=true]')?.textContent === '{form}'"
                );
                scene.until(&is_open).await;
            }
            scene.until("document.querySelector('.mail iframe.html')?.sandbox.length === 0").await;
        }

        let markup = "document.querySelectorAll('main img, main script, main i').length";
        assert_eq!(scene.page.ask(markup).await, 0);
        scene.is_sound().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_is_shown_as_it_came_and_its_html_can_do_nothing() {
    let Some(browser) = Browser::start().await else { return };
    let scene = Scene::of(&browser, "email").await;
    scene.send("Dear Anna,\n\nyour invoice <b>is</b> there.").await;
    scene.until_shown(".mail h3", "Where is my parcel?").await;
    scene.press("Headers").await;
    scene.until_shown(".mail pre", "Message-ID:").await;
    scene.press("Raw").await;
    scene.until_shown(".mail pre", "Content-Type: text/html").await;

    let conversation_id = scene.business.conversation_id("email");
    let path = format!("/email/messages?conversation_id={conversation_id}");
    let mails = scene.world.sandbox(Method::GET, &path, Value::Null).await;
    let id: Uuid = serde_json::from_value(mails[0]["message_id"].clone()).expect("an id");
    let url = format!("{}/sandbox/email/messages/{id}", scene.world.ready.sandbox);
    let html = scene.world.ask(scene.world.http().get(format!("{url}/html"))).await;
    let policy = html.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("sandbox allow-popups") && policy.contains("default-src 'none'"));
    assert!(html.text.contains("&lt;b&gt;is&lt;/b&gt;"), "{}", html.text);

    let raw = scene.world.ask(scene.world.http().get(format!("{url}/raw"))).await;
    assert!(raw.text.contains("amazonses.com>\r\n") && raw.text.contains("\r\n\r\n--"));
    assert_eq!(raw.header("content-type"), Some("message/rfc822"));
    assert!(raw.header("content-disposition").is_some_and(|name| name.contains(".eml")));
    scene.is_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_is_seen_and_nothing_is_lost() {
    let Some(browser) = Browser::start().await else { return };
    let scene = Scene::of(&browser, "email").await;
    scene.pick("E-mail", "down").await;
    scene.until("document.querySelector('#switches select.on') !== null").await;
    scene.send("It is not lost.").await;
    scene.until_shown(".message .reason", "SES is not available").await;
    scene.until_shown("#ledger", "on the way1").await;
    scene.until_shown("#outbox", "email#").await;

    scene.press("Heal everything").await;
    scene.until_shown("#said", "Everything works again").await;
    scene.press("One hour on").await;
    scene.until_shown("#said", "The clock is moved").await;
    scene.press("Sweep now").await;
    scene.until_shown("#ledger", "with the customer1").await;
    scene.until_shown(".message footer", " attempts").await;
    scene.until_shown("#outbox", "Empty").await;
    scene.until_shown(".mails .teaser", "It is not lost.").await;
    scene.is_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_in_mid_call_and_a_queue_that_is_held_lose_nothing() {
    let Some(browser) = Browser::start().await else { return };
    let scene = Scene::of(&browser, "chat").await;
    scene.press("Hold the queues").await;
    scene.until("document.querySelector('.switch[aria-pressed=true]') !== null").await;
    scene.send("held back").await;
    scene.until("document.querySelector('#queues .busy') !== null").await;
    scene.until_shown(".message .state", "queued").await;

    scene.press("Workers die at their next write").await;
    let both = "document.querySelectorAll('.switch[aria-pressed=true]').length === 2";
    scene.until(both).await;
    scene.press("Hold the queues").await;
    scene.until_shown("#aws", "kill").await;
    scene.press("One hour on").await;
    scene.until_shown("#said", "The clock is moved").await;
    scene.press("Sweep now").await;
    scene.until_shown("#ledger", "with the customer1").await;
    scene.is_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_seen_to_reach_an_endpoint_and_to_wait_for_one_that_is_down() {
    let Some(browser) = Browser::start().await else { return };
    let scene = Scene::of(&browser, "email").await;
    scene.until_shown("#endpoints", "sent nowhere yet").await;
    scene.press("Send them to the sandbox’s endpoint").await;
    scene.until_shown(".call summary", "201").await;
    scene.until_shown("#endpoints", "sent to one endpoint").await;
    scene.until("document.querySelector('#register').hidden").await;

    scene.send("Tell my endpoint.").await;
    let delivered = "[...document.querySelectorAll('#events tr')].filter((row) => \
                     row.querySelector('.state')?.textContent === 'delivered' && \
                     row.querySelector('.good')?.textContent === '200' && \
                     row.lastChild.textContent === '1').length";
    scene.until(&format!("{delivered} === 3")).await;

    scene.pick("Endpoints", "down").await;
    scene.until("document.querySelector('#switches select.on') !== null").await;
    scene.send("It is told later.").await;
    scene.until_shown("#events .bad", "503").await;
    scene.until_shown("#events .state", "pending").await;
    scene.until_shown("#ledger", "with the customer2").await;

    scene.press("Heal everything").await;
    scene.until_shown("#said", "Everything works again").await;
    scene.press("One hour on").await;
    scene.until_shown("#said", "The clock is moved").await;
    scene.press("Sweep now").await;
    scene.until(&format!("{delivered} === 6")).await;
    scene.is_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_switch_goes_on_and_healing_ends_them_all() {
    let Some(browser) = Browser::start().await else { return };
    let scene = Scene::of(&browser, "chat").await;
    let count = "document.querySelectorAll('.switch[aria-pressed=true]').length";
    let switches = scene.page.ask("document.querySelectorAll('.switch').length").await;
    let switches = switches.as_u64().expect("a number");
    for index in 0..switches {
        scene.page.ask(&format!("document.querySelectorAll('.switch')[{index}].click()")).await;
        scene.until(&format!("{count} === {}", index + 1)).await;
    }
    for (field, fault) in [("Chat", "slow"), ("WhatsApp", "busy"), ("E-mail", "mute")] {
        scene.pick(field, fault).await;
    }
    scene.until("document.querySelectorAll('#switches select.on').length === 3").await;
    let fault = scene.world.sandbox(Method::GET, "/whatsapp/faults", Value::Null).await;
    assert_eq!((&fault["status"], &fault["retry_after"]), (&json!(429), &json!(3)));

    // One of several faults of AWS ends, and the others stay.
    scene.press("SQS takes no doorbell").await;
    scene.until(&format!("{count} === {}", switches - 1)).await;

    scene.press("Heal everything").await;
    scene.until(&format!("{count} === 0")).await;
    scene.until("document.querySelectorAll('#switches select.on').length === 0").await;
    let rules = scene.world.sandbox(Method::GET, "/aws/faults", Value::Null).await;
    assert_eq!(rules, json!([]));

    scene.press("To the end of the month").await;
    scene.until("document.querySelector('#clock').classList.contains('warn')").await;
    scene.press("Back to now").await;
    scene.until("!document.querySelector('#clock').classList.contains('warn')").await;
    scene.is_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_makes_businesses_and_conversations_and_goes_from_one_to_another() {
    let Some(browser) = Browser::start().await else { return };
    let scene = Scene::of(&browser, "chat").await;
    let add = "(() => { const add = document.querySelector('.add'); add.value = 'email'; \
               add.dispatchEvent(new Event('change')) })()";
    scene.page.ask(add).await;
    scene.until("document.querySelectorAll('.tab').length === 4").await;
    scene.until_shown("#customer-title", "inbox").await;

    let new = "(() => { const pick = document.querySelector('#business'); pick.value = 'new'; \
               pick.dispatchEvent(new Event('change')) })()";
    scene.page.ask(new).await;
    scene.until("document.querySelectorAll('.tab').length === 3").await;
    scene.until_shown("#month", "of 20 used").await;
    scene.click(".tab.whatsapp").await;
    scene.until_shown("#customer-title", "phone").await;
    scene.send("Hello from a new business").await;
    scene.until_shown(".bubbles .theirs", "Hello from a new business").await;
    scene.is_sound().await;
}

/// How many messages a long conversation has; by `LONG`, whose times are printed.
const HISTORY: [usize; 2] = [120, 1_000];

/// Collects the [long tasks](https://w3c.github.io/longtasks/) of the page, of 50 ms and more.
const WATCH: &str = "(() => { window.blocked = []; \
    new PerformanceObserver((list) => blocked.push(...list.getEntries().map((one) => one.duration))) \
        .observe({ type: 'longtask' }) })()";
/// Scrolls through all messages, a frame at a time; returns times in milliseconds.
const SCROLL: &str = "(async () => { const log = document.querySelector('#log'); \
    const step = log.scrollHeight / 60; let last = performance.now(); const frames = []; \
    for (let at = log.scrollHeight; at > 0; at -= step) { \
        log.scrollTop = at; await new Promise(requestAnimationFrame); \
        frames.push(performance.now() - last); last = performance.now(); } \
    const paint = performance.getEntriesByName('first-contentful-paint')[0]; \
    return { paint: Math.round(paint.startTime), frame: Math.round(Math.max(...frames)), \
        blocked: blocked.map(Math.round) } })()";

#[tokio::test(flavor = "multi_thread")]
async fn a_long_conversation_comes_by_pages_and_is_whole() {
    let Some(browser) = Browser::start().await else { return };
    let scene = Scene::of(&browser, "email").await;
    let conversation_id = scene.business.conversation_id("email");
    let is_long = std::env::var_os("LONG").is_some();
    let history = HISTORY[usize::from(is_long)];
    for number in 1..=history {
        let text = format!("number {number}");
        scene.world.send(&scene.business.api_key, conversation_id, &text).go().await.id();
    }

    scene.page.reload().await;
    scene.until("document.documentElement.dataset.ready === 'true'").await;
    let count = "document.querySelectorAll('.message').length";
    for shown in (100..history).step_by(100) {
        scene.until(&format!("{count} >= {shown}")).await;
        scene.press("Earlier messages").await;
    }
    scene.until(&format!("{count} >= {history}")).await;
    // A page that ends with the first message does not know that it does.
    if history.is_multiple_of(100) {
        scene.press("Earlier messages").await;
    }
    scene.until("document.querySelector('.more') === null").await;
    let texts = scene
        .page
        .ask("[...document.querySelectorAll('.message .text')].map((text) => text.textContent)")
        .await;
    let wanted: Vec<String> = (1..=history).map(|number| format!("number {number}")).collect();
    assert_eq!(texts, json!(wanted));
    // What is out of sight is not laid out, however much there is.
    let skipped = "getComputedStyle(document.querySelector('.message')).contentVisibility";
    assert_eq!(scene.page.ask(skipped).await, "auto");

    if is_long {
        scene.page.ask(WATCH).await;
        scene.send("one more").await;
        scene.until_shown(".message .text", "one more").await;
        let times = scene.page.ask(SCROLL).await;
        println!(
            "{history} messages: first paint after {} ms; scrolled through, a frame took {} ms at \
             most; the script's long tasks took {} ms",
            times["paint"], times["frame"], times["blocked"]
        );
    }
    scene.is_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_customer_writes_stands_among_what_the_agent_wrote() {
    let Some(browser) = Browser::start().await else { return };
    let scene = Scene::of(&browser, "whatsapp").await;
    let shown = "[...document.querySelectorAll('.message .text')].map((one) => one.textContent)";
    let until_shown = async |wanted: &[&str]| {
        let wanted = json!(wanted).to_string();
        scene.until(&format!("JSON.stringify({shown}) === {}", json!(wanted))).await;
    };

    scene.send("Where shall it go?").await;
    until_shown(&["Where shall it go?"]).await;
    let answer = format!(
        "(() => {{ const form = document.querySelector('.phone form'); \
         form.querySelector('input').value = {}; form.requestSubmit() }})()",
        json!(HOSTILE)
    );
    scene.page.ask(&answer).await;
    until_shown(&["Where shall it go?", HOSTILE]).await;
    scene.send("Thank you").await;
    let all = ["Where shall it go?", HOSTILE, "Thank you"];
    until_shown(&all).await;
    scene.until_shown(".message.written footer", "from the customer").await;

    scene.page.reload().await;
    until_shown(&all).await;
    assert_eq!(barriers(&scene.page).await, [""; 0]);
    scene.is_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_is_shown_with_the_token_filled_in() {
    let Some(browser) = Browser::start().await else { return };
    let world = World::start().await;
    let api = &world.ready.api;
    let page = browser.open(&format!("{api}/docs")).await;
    let is_filled = "document.querySelector('#filled').textContent.includes('is filled in')";
    until(&page, is_filled).await;
    let demo = world.ready.demo.as_ref().expect("the demo is seeded");
    let key = "document.querySelector('openapi-explorer').resolvedSpec.securitySchemes \
               .map(({finalKeyValue}) => finalKeyValue)";
    let keys = page.ask(key).await.to_string();
    assert!(keys.contains("Bearer eyJ") && !keys.contains(&demo.api_key), "{keys}");
    assert_eq!(page.complaints().await, json!([]));
    assert_eq!(barriers(&page).await, [""; 0]);

    let contract = world.ask(world.http().get(format!("{api}/openapi.yaml"))).await;
    assert!(contract.text.contains(&format!("\n  - url: {api}\n")), "its server is this one");

    let routes = browser.open(&format!("{}/sandbox/", world.ready.sandbox)).await;
    until(&routes, "document.querySelectorAll('tbody tr').length > 30").await;
    assert_eq!(routes.complaints().await, json!([]));
    assert_eq!(barriers(&routes).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_run_their_own_scripts_alone_and_are_in_no_frame() {
    let world = World::start().await;
    for path in ["/", "/docs"] {
        let request = world.http().get(format!("{}{path}", world.ready.api));
        let page = world.ask(request.header("accept", "text/html")).await;
        let policy = page.header("content-security-policy").expect("a policy");
        for part in ["default-src 'none'", "script-src 'self';", "frame-ancestors 'none'"] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert_eq!(policy.contains("unsafe-inline"), path == "/docs", "{policy}");
        assert!(!page.text.contains("style=") && !page.text.contains("onclick"), "{path}");
    }

    // The code of others is what is written beside it.
    let url = format!("{}/console/openapi-explorer.js", world.ready.api);
    let script = world.ask(world.http().get(url)).await;
    let note = tests::contract::root().join("infra/local/src/console/vendor/README.md");
    let note = std::fs::read_to_string(note).expect("it is there");
    assert!(note.contains(&hex::encode(Sha256::digest(script.text.as_bytes()))), "{note}");

    // Programs get the addresses as text.
    let plain = world.ask(world.http().get(&world.ready.console)).await;
    assert_eq!(plain.header("content-type"), Some("text/plain; charset=utf-8"));
    assert!(plain.text.contains(&world.ready.sandbox), "{}", plain.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_of_the_console_are_drawn_and_nothing_in_them_is_a_barrier() {
    const DESK: (u32, u32) = (1_440, 1_730);
    const PHONE: (u32, u32) = (390, 1_200);

    let Some(browser) = Browser::start().await else { return };
    let scene = Scene::of(&browser, "chat").await;
    let demo = scene.world.ready.demo.as_ref().expect("the demo is seeded");
    for channel in CHANNELS {
        let id = match channel {
            "whatsapp" => demo.conversations.whatsapp,
            "email" => demo.conversations.email,
            _ => demo.conversations.chat,
        };
        scene.page.ask(&format!("location.hash = '{id}'")).await;
        scene
            .until(&format!("document.querySelector('.tab[aria-current]')?.title === '{id}'"))
            .await;
        scene.until("document.querySelector('#log .hint') !== null").await;
        let texts = ["Hi Anna, I found your order.", "It left our warehouse this morning."];
        for (index, text) in texts.into_iter().enumerate() {
            scene.send(text).await;
            let sent = format!("document.querySelectorAll('.message').length === {}", index + 1);
            scene.until(&sent).await;
        }
        scene.until_shown("#ledger", "with the customer2").await;

        for scheme in ["light", "dark"] {
            for window in [DESK, PHONE] {
                scene.page.emulate(scheme, window, window == PHONE).await;
                let found = barriers(&scene.page).await;
                assert_eq!(found, [""; 0], "{channel} in {scheme}");
                let wide = "document.documentElement.scrollWidth <= innerWidth";
                assert_eq!(scene.page.ask(wide).await, true, "{channel} at {window:?}");
            }
        }
        let (name, scheme, window) = match channel {
            "whatsapp" => ("console-dark", "dark", DESK),
            "email" => ("console-phone", "light", PHONE),
            _ => ("console-light", "light", DESK),
        };
        scene.page.emulate(scheme, window, window == PHONE).await;
        let (width, height) = window;
        // A pixel of the picture is one of the page.
        let clip = json!({"x": 0, "y": 0, "width": width, "height": height, "scale": 0.5});
        keep(name, &scene.page.picture(Some(clip)).await);
    }
    scene.is_sound().await;
}
