//! The garbage collector: what belongs to something that is gone goes, too.

use crate::api::{KINDS, Key, text};
use crate::world::{Actor, State, World};

pub(super) fn step(world: &World, state: &mut State) {
    if state.store.version() == state.swept_at {
        return;
    }
    let mut orphans = Vec::new();
    for kind in ["Deployment", "ReplicaSet", "Pod", "Service", "EndpointSlice", "NetworkPolicy"] {
        let Some(kind) = KINDS.iter().find(|one| one.kind == kind) else { continue };
        for object in state.store.list(kind.kind, "demo") {
            let owner = text(object, "/metadata/ownerReferences/0/uid");
            if !owner.is_empty() && !state.store.has_uid(owner) {
                orphans.push(Key::demo(kind.kind, text(object, "/metadata/name")));
            }
        }
    }
    if orphans.is_empty() {
        state.swept_at = state.store.version();
    }
    for orphan in orphans {
        let _ = world.delete(state, Actor::Cluster("garbage-collector"), &orphan, None, None);
    }
}
