//! stub

/// stub
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage { pub seq: i64, pub fault: &'static str }
/// stub
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain { pub chain: i32, pub rows: u64, pub hash: Vec<u8>, pub damage: Option<Damage> }
/// stub
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report { pub chains: Vec<Chain>, pub rows: u64 }
impl Report {
    /// stub
    pub fn is_whole(&self) -> bool { self.damaged().next().is_none() }
    /// stub
    pub fn damaged(&self) -> impl Iterator<Item = (i32, Damage)> { self.chains.iter().filter_map(|chain| Some((chain.chain, chain.damage?))) }
}
