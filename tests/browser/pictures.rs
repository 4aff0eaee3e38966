//! Scenes of the widget: each is looked at for barriers, in light and dark, and drawn. With
//! `SCREENSHOTS` set to a folder, the pictures are kept there; documents show them.

use serde_json::Value;

use crate::barriers::{axe, keep};
use crate::checks;
use crate::chromium::{Browser, Page};

/// A scene of `checks/scenes.js`, and how it is looked at.
struct Scene {
    name: &'static str,
    scheme: &'static str,
    window: (u32, u32),
    /// Whether the chat alone is drawn, or the whole window.
    is_cut: bool,
    /// Documents show it.
    is_shown: bool,
}

const DESK: (u32, u32) = (900, 700);
const PHONE: (u32, u32) = (390, 760);

const SCENES: [Scene; 9] = [
    Scene { name: "open", scheme: "light", window: DESK, is_cut: true, is_shown: true },
    Scene { name: "dark", scheme: "dark", window: DESK, is_cut: true, is_shown: true },
    Scene { name: "rtl", scheme: "light", window: DESK, is_cut: true, is_shown: true },
    Scene { name: "closed", scheme: "light", window: (440, 300), is_cut: false, is_shown: true },
    Scene { name: "panel", scheme: "dark", window: (560, 700), is_cut: false, is_shown: true },
    Scene { name: "phone", scheme: "light", window: PHONE, is_cut: false, is_shown: true },
    Scene { name: "empty", scheme: "light", window: DESK, is_cut: true, is_shown: false },
    Scene { name: "unread", scheme: "light", window: DESK, is_cut: true, is_shown: false },
    Scene { name: "offline", scheme: "dark", window: DESK, is_cut: true, is_shown: false },
];

#[tokio::test]
async fn pictures_of_the_widget_are_drawn_and_nothing_in_them_is_a_barrier() {
    let Some(browser) = Browser::start().await else { return };
    let axe = axe();
    let page = checks::open(&browser).await;
    if let Some(axe) = &axe {
        page.ask(&format!("{axe}; null")).await;
    }

    let mut barriers = Vec::new();
    for scene in SCENES {
        page.emulate(scene.scheme, scene.window, scene.window == PHONE).await;
        let shown = page.ask(&format!("SCENES.{}().then(() => 'shown', String)", scene.name)).await;
        assert_eq!(shown, "shown", "{}", scene.name);

        for scheme in ["light", "dark"] {
            page.emulate(scheme, scene.window, scene.window == PHONE).await;
            if axe.is_some() {
                let found = page.ask("barriers().catch((error) => [String(error)])").await;
                for one in found.as_array().expect("axe answers") {
                    barriers.push(format!("{} in {scheme}: {one}", scene.name));
                }
            }
        }

        page.emulate(scene.scheme, scene.window, scene.window == PHONE).await;
        let clip = if scene.is_cut { Some(clip(&page).await) } else { None };
        let picture = page.picture(clip).await;
        assert!(picture.len() > 2_000, "{}: the picture is empty", scene.name);
        if scene.is_shown {
            keep(scene.name, &picture);
        }
    }
    assert!(barriers.is_empty(), "{}", barriers.join("\n"));
}

/// The place of the chat, with what its border needs.
async fn clip(page: &Page) -> Value {
    let place = "(({ x, y, width, height }) => \
                 ({ x: x - 8, y: y - 8, width: width + 16, height: height + 16, scale: 1 })\
                 )(place.getBoundingClientRect())";
    page.ask(place).await
}
