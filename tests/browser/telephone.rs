//! The line carries not even a voice: both are asked whether to go on by telephone, each sees what the
//! other has said, also after a reload, and the doctor's hand lies on what is left to press.

use crate::chromium::Chromium;
use crate::clinic::Clinic;
use crate::ladder::{UP_SECS_MAX, they_talk};
use crate::page::{Device, Page};
use crate::story::ONE_STORY;
use crate::support::Engine;

/// The reports of a page say what the tab remembers, after a reload as well.
const FORGE: &str = "{
    const kept = () => JSON.parse(sessionStorage.getItem('forged') ?? 'null');
    const real = WebSocket.prototype.send;
    WebSocket.prototype.send = function send(text) {
      const message = JSON.parse(text);
      const good = { loss_in: 0, loss_out: 0, rtt: 60, mos: 4.2, room: 2e6 };
      if (message.t === 'quality') Object.assign(message.body, good, kept() ?? {});
      real.call(this, JSON.stringify(message));
    };
}";

#[actix_web::test]
async fn both_agree_to_the_telephone_and_a_reload_forgets_nothing() {
    let _alone = ONE_STORY.lock().await;
    let clinic = Clinic::open(Engine::Sqlite).await;
    let (phone, desk) = (Chromium::start().await, Chromium::start().await);
    let patient = phone.page("telephone", Device::Phone, "ru").await;
    let doctor = desk.page("telephones", Device::Desk, "en").await;
    for page in [&patient, &doctor] {
        page.before(FORGE).await;
    }
    they_talk(&clinic, &patient, &doctor).await;

    // Nine in ten lost, and the same said of it after each reload.
    patient.eval("sessionStorage.setItem('forged', JSON.stringify({ loss_in: 0.9 }))").await;
    for page in [&patient, &doctor] {
        page.wait_at_most(UP_SECS_MAX, "watched.seen('#phone-yes')").await;
        page.assert_fits().await;
    }
    patient.drawn("telephone-asked", false).await;
    patient.click("#phone-yes").await;
    // Each of them by its own sentence.
    says(&patient, "Ждём ответа").await;
    says(&doctor, "would like to go on by telephone").await;
    patient.reload().await;
    says(&patient, "Ждём ответа").await;
    patient.see("#phone-no").await;
    doctor.reload().await;
    says(&doctor, "would like to go on by telephone").await;

    doctor.click("#phone-yes").await;
    says(&patient, "Врач позвонит вам").await;
    doctor.see("#to-phone").await;
    doctor.wait_for("document.activeElement?.id === 'to-phone'").await;
    for page in [&patient, &doctor] {
        page.wait_for("document.querySelector('#call-rung').dataset.rung === 'phone'").await;
        page.assert_fits().await;
    }
    patient.drawn("telephone-agreed", false).await;
    patient.reload().await;
    says(&patient, "Врач позвонит вам").await;
    for page in [&patient, &doctor] {
        page.assert_content();
    }
}

/// Waits until the box about the telephone says so.
async fn says(page: &Page, words: &str) {
    let said = format!(
        "watched.seen('#call-phone') && document.querySelector('#call-phone-words').textContent.includes({})",
        crate::page::quoted(words)
    );
    page.wait_for(&said).await;
}
