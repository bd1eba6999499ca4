//! What people see when a record is opened in an emergency: the clinician who does it, and the security officer who reviews it.

use portcullis_fhir::types::LogicalId;
use portcullis_oauth::approval::{Actor, ChangeKind, PendingChange};
use portcullis_oauth::break_glass::GlassEntry;
use portcullis_oauth::entitlements::Entitlement;
use portcullis_oauth::identifiers::UserId;
use portcullis_oauth::users::Role;
use portcullis_policy::operator_rules::{Widened, Widening};
use portcullis_server::operator_rules::{Held, WaitingRules};
use portcullis_store::Clock as _;
use portcullis_store::registry::Change;
use portcullis_store::safeguards::SafeguardChange;

use super::inspector::Inspector;
use super::people::Hospital;
use super::walk::{forget, open, wear};
use crate::account::Visitor;

/// Amy opened a record; Sam looks at it, and at a change that waits.
pub async fn way(hospital: &Hospital, inspector: &mut Inspector) {
    happen(hospital).await;
    let widening = |rule: &str, how| Widening { rule: rule.into(), how };
    let widenings = vec![widening("care team", Widened::PermitWider), widening("no night shift", Widened::DenialGone)];
    let rules = &hospital.world.server.server.operator_rules;
    rules.keep(Held::default(), WaitingRules { digest: "0".repeat(64), widenings });
    for (name, page, path) in [("amy", "break-glass", "/break-glass"), ("sam", "security", "/security")] {
        let mut visitor = Visitor::new(&hospital.world);
        visitor.sign_in(name).await;
        visitor.add_authenticator().await;
        forget(&inspector.browser);
        wear(hospital, &inspector.browser, &visitor);
        open(hospital, inspector, page, path).await;
    }
}

/// Amy may break the glass and has opened Maria's record; two changes wait for Sam, who may agree to them.
pub async fn happen(hospital: &Hospital) {
    let server = &hospital.world.server;
    server.add_user("sam", &[Role::SecurityOfficer], None, &[]).await;
    let amy = server.server.registry.user_named("amy").await.unwrap().unwrap().id;
    let safeguard = |change| Change::Safeguard(Box::new(change));
    let by = || Actor::Account("ops".into());
    let given = |user: &UserId, entitlement| SafeguardChange::Give { user: user.clone(), entitlement, by: by(), first: false };
    server.change(safeguard(given(&amy, Entitlement::BreakGlass))).await;
    let sam = UserId::parse("user-sam").unwrap();
    server.change(safeguard(given(&sam, Entitlement::ApproveChanges))).await;
    let now = server.clock.now_seconds();
    let entry = GlassEntry {
        id: "0".repeat(32),
        user: amy.clone(),
        patient: LogicalId::parse("maria").unwrap(),
        reason: "Unconscious after a fall, no relatives here.".into(),
        began_at: now,
        ends_at: now + 3600,
        ended_at: None,
        ended_by: None,
    };
    server.change(safeguard(SafeguardChange::BreakGlass(Box::new(entry)))).await;
    let rules = (ChangeKind::Rules, "[[rule]]\nname = \"night\"\neffect = \"permit\"\n".to_owned());
    for proposal in [
        PendingChange::propose("1".repeat(32), rules, &by(), now),
        PendingChange::propose("2".repeat(32), (ChangeKind::VerifyConsents, "{}".into()), &by(), now).benefiting(amy.clone()),
    ] {
        server.change(safeguard(SafeguardChange::Propose(Box::new(proposal)))).await;
    }
}
