//! The address of the peer, for whatever a request's task does: rules of the operator ask for it also on pages, where nothing else does.

use std::net::IpAddr;

use portcullis_store::BoxFuture;

tokio::task_local! {
    static ADDRESS: IpAddr;
}

/// Does the work of a request that came from this address.
pub fn during<T: 'static>(address: IpAddr, work: BoxFuture<'static, T>) -> impl Future<Output = T> + Send {
    ADDRESS.scope(address, work)
}

/// The address, where this is the work of a request.
pub fn current() -> Option<IpAddr> {
    ADDRESS.try_with(|address| *address).ok()
}
