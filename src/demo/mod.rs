//! demo

// ---- stub
use std::sync::Arc;

use crate::base::app::App;

/// stub: how somebody of the demonstration signs in.
#[derive(Debug, Clone, serde::Serialize)]
pub struct SignIn {
    pub role: String,
    pub name: String,
    pub login: Option<String>,
    pub password: Option<String>,
    pub phone: Option<String>,
}

/// stub: seeds the region, once, and tells who can sign in.
pub async fn seed(_app: &Arc<App>) -> anyhow::Result<Vec<SignIn>> {
    Ok(Vec::new())
}
