//! YAML as kubectl's parser understands it: the first document of a text, with the place of every node.
//!
//! Nodes keep how they were written, so that a change of the text can leave everything else as it is, and scalars
//! are typed only when asked ([`Node::scalar`]), by the words of YAML 1.1 that kubectl goes by.

mod node;
mod parse;
mod resolve;
mod text;
mod write;
mod wrong;

pub use node::{Kind, Layout, Node};
pub use parse::{Document, MAX_BYTES, parse};
pub(crate) use resolve::base64;
pub use resolve::{Scalar, Style};
pub use text::{Encoding, decode};
pub use write::to_yaml;
pub use wrong::Wrong;
