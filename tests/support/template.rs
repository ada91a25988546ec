//! The world is made once for each engine, through the public API, and copied for every test.

use std::sync::OnceLock;

use super::engine::Database;
use super::{Engine, House, Person, World};

/// A world that nobody lives in.
pub struct Template {
    pub database: Database,
    pub cast: Cast,
}

impl Template {
    /// Made by the first test that asks; the others wait for it.
    pub fn of(engine: Engine) -> &'static Self {
        static SQLITE: OnceLock<Template> = OnceLock::new();
        static POSTGRES: OnceLock<Template> = OnceLock::new();
        let place = match engine {
            Engine::Sqlite => &SQLITE,
            Engine::Postgres => &POSTGRES,
        };
        place.get_or_init(|| {
            let made = std::thread::spawn(move || {
                if engine == Engine::Postgres {
                    Engine::sweep();
                }
                actix_web::rt::System::new().block_on(Self::make(engine))
            });
            made.join().expect("the world could not be made")
        })
    }

    async fn make(engine: Engine) -> Self {
        let world = World::build_in(House::open(engine).await).await;
        let cast = Cast::of(&world);
        Self { database: world.house.leave().await, cast }
    }
}

/// Somebody who is signed in, wherever the house is.
struct Known {
    token: String,
    id: String,
    login: String,
    refresh_token: String,
}

impl Known {
    fn of(person: &Person) -> Self {
        Self {
            token: person.client.token.clone().expect("signed in"),
            id: person.id.clone(),
            login: person.login.clone(),
            refresh_token: person.refresh_token.clone(),
        }
    }

    fn enter(&self, house: &House) -> Person {
        Person {
            client: house.client().with_token(&self.token),
            id: self.id.clone(),
            login: self.login.clone(),
            refresh_token: self.refresh_token.clone(),
        }
    }
}

macro_rules! cast {
    (people: $($person:ident),+; ids: $($id:ident),+) => {
        /// Everybody and everything of a world but its house.
        pub struct Cast {
            $($person: Known,)+
            $($id: String,)+
        }

        impl Cast {
            fn of(world: &World) -> Self {
                Self {
                    $($person: Known::of(&world.$person),)+
                    $($id: world.$id.clone(),)+
                }
            }

            /// They live in this house from now on.
            pub fn enter(&self, house: House) -> World {
                World {
                    $($person: self.$person.enter(&house),)+
                    $($id: self.$id.clone(),)+
                    house,
                }
            }
        }
    };
}

cast! {
    people: admin, doctor, colleague, stranger, feldsher, registrar, asha, boris;
    ids: clinic, other_clinic, village, service, long_service, other_service
}
