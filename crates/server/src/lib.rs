//! HTTP: the resource server, the authorization server and the pages, behind one listener.
//!
//! Every response is an [`Answer`](answer::Answer), which only a durable audit record can make.

mod account_route;
pub mod admin;
pub mod answer;
pub mod approvals;
pub mod authorization_server;
pub mod brand;
pub mod client_route;
pub mod context;
pub mod demo_app;
mod developers_route;
pub mod dpop;
pub mod face;
mod federation_route;
pub mod health;
pub mod interrupted;
pub mod listener;
pub mod mail;
pub mod middleware;
pub mod operator_rules;
pub mod peer_address;
pub mod resource_server;
pub mod route;
pub mod service;
pub mod ui;
