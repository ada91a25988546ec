//! stub
#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
pub struct IceServer { pub urls: Vec<String> }
pub fn servers(_c: &crate::base::config::Ice, _p: uuid::Uuid, _now: crate::base::column::Instant) -> Vec<IceServer> { Vec::new() }
