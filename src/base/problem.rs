//! Every refusal the API can answer: its status, its stable code, and its words in two languages.
//!
//! A code is a promise to clients and is never renamed. The page is `docs/api.md`.

use crate::base::language::Language;

/// One kind of refusal (RFC 9457).
#[derive(Debug)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// What a program reads.
    pub code: &'static str,
    en: (&'static str, &'static str),
    ru: (&'static str, &'static str),
}

impl Problem {
    /// A few words that name the problem.
    pub fn title(&self, language: Language) -> &'static str {
        self.text(language).0
    }

    /// A sentence that says what to do.
    pub fn detail(&self, language: Language) -> &'static str {
        self.text(language).1
    }

    fn text(&self, language: Language) -> (&'static str, &'static str) {
        language.choose(self.en, self.ru)
    }
}

macro_rules! problems {
    ($($name:ident = $status:literal $code:literal
        $en_title:literal, $en:literal; $ru_title:literal, $ru:literal;)+) => {
        $(
            #[doc = concat!($status, " `", $code, "`: ", $en)]
            pub static $name: Problem = Problem {
                status: $status, code: $code, en: ($en_title, $en), ru: ($ru_title, $ru),
            };
        )+
        /// Every problem, in the order of declaration.
        pub static ALL: &[&Problem] = &[$(&$name),+];
    };
}

problems! {
    MALFORMED_JSON = 400 "malformed_json"
        "Not JSON", "The body is not well-formed JSON.";
        "Это не JSON", "Тело запроса не является правильным JSON.";
    INVALID_QUERY = 400 "invalid_query"
        "Invalid query", "A query parameter is missing, unknown or has a wrong value.";
        "Неверный запрос", "Параметр запроса пропущен, неизвестен или имеет неверное значение.";
    INVALID_CURSOR = 400 "invalid_cursor"
        "Invalid cursor", "This page marker is not one of ours; start from the first page.";
        "Неверная закладка", "Такой закладки страницы нет; начните с первой страницы.";
    IDEMPOTENCY_KEY_MISSING = 400 "idempotency_key_missing"
        "Idempotency-Key missing", "Send an Idempotency-Key header, so that a repeated request books once.";
        "Нет Idempotency-Key", "Пошлите заголовок Idempotency-Key, чтобы повторный запрос не записал дважды.";
    IDEMPOTENCY_KEY_INVALID = 400 "idempotency_key_invalid"
        "Idempotency-Key invalid", "The key must have 8 to 128 printable characters.";
        "Неверный Idempotency-Key", "Ключ должен состоять из 8–128 печатных знаков.";
    UNAUTHORIZED = 401 "unauthorized"
        "Sign in first", "Sign in to go on.";
        "Войдите", "Чтобы продолжить, войдите.";
    INVALID_TOKEN = 401 "invalid_token"
        "Sign in again", "This sign-in has ended or is not valid. Sign in again.";
        "Войдите снова", "Вход завершён или недействителен. Войдите снова.";
    SESSION_OVER = 401 "session_over"
        "Sign in again", "This sign-in has ended. Sign in again.";
        "Войдите снова", "Сеанс завершён. Войдите снова.";
    WRONG_CREDENTIALS = 401 "wrong_credentials"
        "Wrong login or password", "The login or the password is wrong.";
        "Неверный логин или пароль", "Логин или пароль неверны.";
    WRONG_CODE = 401 "wrong_code"
        "Wrong code", "The code is wrong or too old. Ask for a new one.";
        "Неверный код", "Код неверен или устарел. Запросите новый.";
    FORBIDDEN = 403 "forbidden"
        "Not allowed", "You may see this, but not do that.";
        "Нельзя", "Вы можете это видеть, но не можете этого делать.";
    NOT_FOUND = 404 "not_found"
        "Not found", "There is nothing here that you may see.";
        "Не найдено", "Здесь нет ничего, что вам можно видеть.";
    METHOD_NOT_ALLOWED = 405 "method_not_allowed"
        "Wrong method", "This address does not answer that method.";
        "Неверный метод", "Этот адрес не отвечает на такой метод.";
    BODY_TIMEOUT = 408 "body_timeout"
        "Too slow", "The body did not arrive in time. Send it again.";
        "Слишком медленно", "Тело запроса не пришло вовремя. Пошлите ещё раз.";
    CONFLICT = 409 "conflict"
        "Changed meanwhile", "The state has changed meanwhile. Read it again.";
        "Уже изменилось", "Состояние уже изменилось. Прочитайте его снова.";
    SLOT_TAKEN = 409 "slot_taken"
        "Time taken", "This time has just been taken. Choose one of the next free times.";
        "Время занято", "Это время только что заняли. Выберите одно из ближайших свободных.";
    DAY_FULL = 409 "day_full"
        "Day is full", "No more visits of this service are taken on that day. Choose another day.";
        "День заполнен", "На этот день больше не записывают. Выберите другой день.";
    PATIENT_BUSY = 409 "patient_busy"
        "Another visit at that time", "The patient has another visit at that time. Choose another time.";
        "В это время другой приём", "У пациента в это время другой приём. Выберите другое время.";
    RESOURCE_BUSY = 409 "resource_busy"
        "Something is missing", "A room, a device or somebody whom the visit needs is taken at that time. Choose another time.";
        "Чего-то не хватает", "Кабинет, прибор или человек, нужный для приёма, в это время занят. Выберите другое время.";
    PRACTITIONER_GONE = 409 "practitioner_gone"
        "No longer with them", "This practitioner no longer gives this visit. Choose a time with another.";
        "Этот врач больше не ведёт приём", "Этот врач больше не ведёт этот приём. Выберите время у другого.";
    NO_OVERBOOKING = 409 "no_overbooking"
        "No second visit", "This service takes no second visit at the same time.";
        "Второго приёма не будет", "Эта услуга не допускает второго приёма в то же время.";
    TOO_MANY_HOLDS = 409 "too_many_holds"
        "Too many held times", "Confirm or give back one of the times that are held already.";
        "Слишком много броней", "Подтвердите или освободите одно из уже придержанных времён.";
    TOO_MANY_WISHES = 409 "too_many_wishes"
        "Too many wishes", "Withdraw one of the wishes on the waiting list first.";
        "Слишком много заявок", "Сначала отзовите одну из заявок в листе ожидания.";
    BAD_STATE = 409 "bad_state"
        "Not possible now", "This cannot be done in the present state of the visit.";
        "Сейчас нельзя", "В нынешнем состоянии приёма это невозможно.";
    ROOM_LOCKED = 409 "room_locked"
        "The door is locked", "The practitioner lets nobody new in. Ask again later.";
        "Дверь закрыта", "Врач больше никого не пускает. Попросите позже.";
    CONSENT_MISSING = 409 "consent_missing"
        "The patient has not agreed", "Ask the patient first, and write down what they agree to.";
        "Пациент не давал согласия", "Сначала спросите пациента и отметьте согласие.";
    ROOM_FULL = 409 "room_full"
        "No place left", "Four devices can talk at once. Ask somebody to sit at the device of one of the others.";
        "Мест больше нет", "Разговаривать могут не больше четырёх устройств. Предложите сесть рядом с кем-то из участников.";
    TOO_EARLY = 409 "too_early"
        "Too early", "The visit has not opened yet. Come back at the opening time.";
        "Ещё рано", "Приём ещё не открыт. Вернитесь ко времени открытия.";
    TOO_LATE = 409 "too_late"
        "Too late", "This can only be put right on the day of the visit.";
        "Поздно", "Исправить это можно только в день приёма.";
    VISIT_PAST = 409 "visit_past"
        "The visit has passed", "The planned end of this visit has passed, so that is no longer possible.";
        "Время приёма прошло", "Запланированное время приёма прошло, поэтому это уже невозможно.";
    PROBE_OFF = 409 "probe_off"
        "Lines are not measured here", "This clinic does not measure lines. Come to the visit as usual.";
        "Связь здесь не измеряют", "В этой больнице связь не проверяют. Приходите на приём как обычно.";
    NOTE_SIGNED = 409 "note_signed"
        "Note is signed", "A signed note stays, and so does its visit. Add an addendum.";
        "Запись подписана", "Подписанная запись и её приём остаются как есть. Добавьте дополнение.";
    NOTE_EMPTY = 422 "note_empty"
        "Note is empty", "Write at least one section before you sign.";
        "Запись пуста", "Заполните хотя бы один раздел перед подписью.";
    VISITS_OPEN = 409 "visits_open"
        "Visits without an outcome", "Say of each visit of this absence what becomes of it, then complete it.";
        "Есть приёмы без решения", "Решите о каждом приёме этого отсутствия, затем завершите его.";
    PLAN_CONFLICTS = 409 "plan_conflicts"
        "Some no longer fit", "Some of the visits no longer fit; nothing was changed. Look at those that are named.";
        "Не всё подходит", "Некоторые приёмы больше не подходят; ничего не изменилось. Посмотрите названные.";
    NOTHING_TO_OFFER = 409 "nothing_to_offer"
        "No free times", "There is no free time to offer. Move the visit or call it off.";
        "Нет свободного времени", "Предложить нечего. Перенесите приём или отмените его.";
    ALREADY_EXISTS = 409 "already_exists"
        "Already there", "There is one already.";
        "Уже есть", "Такая запись уже есть.";
    NOBODY_TO_RING = 409 "nobody_to_ring"
        "Nobody to ring", "This patient cannot sign in, so nothing can ring for them. Call them.";
        "Вызывать некого", "Этот пациент не может войти, вызов ему не придёт. Позвоните ему.";
    TASK_TAKEN = 409 "task_taken"
        "Somebody else's task", "Somebody else answers for this task. Take it over first.";
        "Задача у другого", "За эту задачу отвечает другой человек. Сначала возьмите её себе.";
    VISIT_NOT_ENDED = 409 "visit_not_ended"
        "The visit is not ended", "Nobody can come in any more. Say how the visit ended: by telephone, or in writing.";
        "Приём не завершён", "Войти уже нельзя. Укажите, чем закончился приём: по телефону или ответом письменно.";
    NOBODY_WAITS = 409 "nobody_waits"
        "Nobody waits", "Nobody waits whom this practitioner could see instead of a colleague.";
        "Никто не ждёт", "Сейчас никто не ждёт, кого этот врач мог бы принять вместо коллеги.";
    ALREADY_TAKEN = 409 "already_taken"
        "Somebody was quicker", "This patient is with somebody already.";
        "Кто-то успел раньше", "Этого пациента уже принимают.";
    NOT_FREE = 409 "not_free"
        "Not free", "This practitioner is with somebody, is waited for, or has a visit too soon.";
        "Врач занят", "Этот врач сейчас на приёме, его ждут или скоро следующий приём.";
    CONSENT_FORM_OLD = 409 "consent_form_old"
        "There is a newer form", "The form has changed meanwhile. Read it again, then consent.";
        "Есть новая форма", "Форма согласия изменилась. Прочитайте её снова и согласитесь.";
    CHAT_FULL = 409 "chat_full"
        "Enough written", "No more can be written in this visit. Call the clinic.";
        "Больше нельзя", "В этом приёме написано слишком много. Позвоните в больницу.";
    LAST_ADMIN = 409 "last_admin"
        "The last administrator", "This is the clinic's last administrator. Appoint another one first.";
        "Последний администратор", "Это последний администратор больницы. Сначала назначьте другого.";
    HOLD_OVER = 410 "hold_over"
        "Hold is over", "The time was held for you too long ago. Choose a time again.";
        "Бронь истекла", "Время было придержано слишком давно. Выберите время снова.";
    UNDO_OVER = 410 "undo_over"
        "Too late to undo", "The time in which this could be undone is over.";
        "Отменить уже нельзя", "Время, когда это можно было отменить, прошло.";
    OFFER_OVER = 410 "offer_over"
        "Offer is over", "These times are no longer held for you. Ask the clinic, or choose a time again.";
        "Предложение истекло", "Эти времена больше не придержаны. Спросите больницу или выберите время снова.";
    VISIT_OVER = 410 "visit_over"
        "Visit is over", "This visit has ended.";
        "Приём завершён", "Этот приём завершён.";
    TASK_OVER = 410 "task_over"
        "Nothing left to do", "This task is done, or no longer needed.";
        "Задача закрыта", "Эта задача выполнена или больше не нужна.";
    TOKEN_USED = 410 "token_used"
        "Link is over", "This one-time token has been used or is too old.";
        "Ссылка недействительна", "Одноразовый ключ уже использован или устарел.";
    STALE_VERSION = 412 "stale_version"
        "Changed meanwhile", "Somebody has changed this meanwhile. Read it again, then change it.";
        "Уже изменено", "Это уже кто-то изменил. Прочитайте снова и повторите правку.";
    TOO_LARGE = 413 "too_large"
        "Too large", "The body is larger than this address takes.";
        "Слишком большое", "Тело запроса больше, чем принимает этот адрес.";
    UNSUPPORTED_MEDIA_TYPE = 415 "unsupported_media_type"
        "Wrong content type", "Send the body as application/json.";
        "Неверный тип", "Пошлите тело как application/json.";
    INVALID_BODY = 422 "invalid_body"
        "Invalid body", "A field is missing, unknown or has a wrong value.";
        "Неверные данные", "Поле пропущено, неизвестно или имеет неверное значение.";
    INVALID_OFFER = 422 "invalid_offer"
        "Invalid offer", "The offer must be a session description with one data channel and nothing else.";
        "Неверное предложение", "Нужно описание сеанса с одним каналом данных и ничем больше.";
    NAIVE_TIME = 422 "naive_time"
        "Time without offset", "Say which zone: a time needs an offset, like 2026-11-24T09:00:00+07:00.";
        "Время без пояса", "Укажите пояс: время пишется со смещением, например 2026-11-24T09:00:00+07:00.";
    INVALID_TIME = 422 "invalid_time"
        "Not a time", "A time is written as 2026-11-24T09:00:00+07:00.";
        "Это не время", "Время пишется так: 2026-11-24T09:00:00+07:00.";
    IN_THE_PAST = 422 "in_the_past"
        "In the past", "This time has passed. Choose a later one.";
        "Время прошло", "Это время уже прошло. Выберите более позднее.";
    TOO_FAR = 422 "too_far"
        "Too far ahead", "That day cannot be booked yet. Choose an earlier one.";
        "Слишком далеко", "На этот день ещё не записывают. Выберите более ранний.";
    TOO_SOON = 422 "too_soon"
        "Too soon", "This service needs more notice. Choose a later time.";
        "Слишком скоро", "На эту услугу записываются заранее. Выберите более позднее время.";
    OFF_GRID = 422 "off_grid"
        "Not one of the free times", "Visits do not begin at that time. Choose one of the free times.";
        "Не из свободных времён", "В это время приём не начинается. Выберите одно из свободных времён.";
    OFF_MINUTE = 422 "off_minute"
        "Not on a whole minute", "Visits begin on a whole minute. Leave the seconds out.";
        "Не целая минута", "Приём начинается в целую минуту. Укажите время без секунд.";
    SERVICE_INACTIVE = 422 "service_inactive"
        "Not offered now", "This service cannot be booked at present. Choose another.";
        "Услуга не оказывается", "На эту услугу сейчас не записывают. Выберите другую.";
    NOT_TODAY = 422 "not_today"
        "Not today", "An urgent visit is for today. Book a later one as a routine visit.";
        "Не сегодня", "Срочный приём — на сегодня. На другой день записывайте обычный приём.";
    OUTSIDE_HOURS = 422 "outside_hours"
        "Not working then", "Nobody works at that time. Choose one of the free times.";
        "Нерабочее время", "В это время никто не работает. Выберите свободное время.";
    TIME_IN_GAP = 422 "time_in_gap"
        "No such local time", "The clocks jump over this local time. Choose another.";
        "Такого времени нет", "Часы перескакивают это местное время. Выберите другое.";
    UNKNOWN_TIME_ZONE = 422 "unknown_time_zone"
        "Unknown time zone", "Use an IANA zone, like Asia/Krasnoyarsk.";
        "Неизвестный пояс", "Укажите пояс IANA, например Asia/Krasnoyarsk.";
    UNKNOWN_REFERENCE = 422 "unknown_reference"
        "Unknown reference", "The body names something that is not there or not yours to see.";
        "Неизвестная ссылка", "Запрос называет то, чего нет или что вам нельзя видеть.";
    RANGE_TOO_WIDE = 422 "range_too_wide"
        "Range too wide", "Ask for at most 31 days, the end after the start.";
        "Слишком большой срок", "Запрашивайте не более 31 дня, конец после начала.";
    IDEMPOTENCY_KEY_REUSED = 422 "idempotency_key_reused"
        "Key used before", "This Idempotency-Key was used with another body. Use a new key.";
        "Ключ уже был", "Этот Idempotency-Key уже был с другими данными. Возьмите новый.";
    INVALID_PHONE = 422 "invalid_phone"
        "Not a phone number", "Write the number with its country code, like +79131234567.";
        "Неверный номер", "Пишите номер с кодом страны, например +79131234567.";
    WEAK_PASSWORD = 422 "weak_password"
        "Password too weak", "Use at least 15 characters that are not easy to guess.";
        "Слабый пароль", "Нужно не менее 15 знаков, которые трудно угадать.";
    UPGRADE_REQUIRED = 426 "upgrade_required"
        "Not a WebSocket", "Open this address as a WebSocket with the subprotocol feldsher.rtc.v1.";
        "Это WebSocket", "Откройте этот адрес как WebSocket с протоколом feldsher.rtc.v1.";
    PRECONDITION_REQUIRED = 428 "precondition_required"
        "If-Match missing", "Send If-Match with the version that you read.";
        "Нет If-Match", "Пошлите If-Match с версией, которую вы прочитали.";
    TOO_MANY_ATTEMPTS = 429 "too_many_attempts"
        "Too many attempts", "Too many attempts. Wait a little, then try again.";
        "Слишком много попыток", "Слишком много попыток. Подождите немного и повторите.";
    INTERNAL = 500 "internal"
        "Our mistake", "Something went wrong on our side. Nothing was changed; try again.";
        "Наша ошибка", "Что-то сломалось у нас. Ничего не изменилось; попробуйте ещё раз.";
    OVERLOADED = 503 "overloaded"
        "Busy", "The service is busy. Try again in a moment.";
        "Перегрузка", "Служба занята. Повторите через мгновение.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_unique_and_speaks_both_languages() {
        let mut codes: Vec<_> = ALL.iter().map(|problem| problem.code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), ALL.len());
        for problem in ALL {
            let russian = problem.detail(Language::Russian);
            assert!(russian.chars().any(|c| ('а'..='я').contains(&c)), "{}", problem.code);
            assert!(problem.detail(Language::English).ends_with(['.']), "{}", problem.code);
        }
    }
}
