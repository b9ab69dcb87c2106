//! Random files, killed and started again at random.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Act {
    Append(u8),
    Partial,
    Rotate,
    Pass(u8),
    Turn,
    Kill(u8),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (1u8..40).prop_map(Act::Append),
        1 => Just(Act::Partial),
        1 => Just(Act::Rotate),
        2 => (1u8..8).prop_map(Act::Pass),
        3 => Just(Act::Turn),
        3 => (0u8..6).prop_map(Act::Kill),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Killed anywhere, each record comes once, with the identity that it has in an undisturbed run; also where it goes on
    /// on another machine.
    #[test]
    fn kills_change_nothing(acts in prop::collection::vec(act(), 1..40), json: bool, travels: bool) {
        let name = if json { "aws.cloudtrail" } else { "syslog" };
        let mut runs = Vec::new();
        for disturbed in [true, false] {
            let mut rig = Rig::new(name);
            rig.travels = travels;
            rig.restart();
            let (mut line, mut rotated) = (0, 0);
            for act in &acts {
                match act {
                    Act::Append(count) => for _ in 0..*count {
                        line += 1;
                        rig.append("app.log", format!("{{\"n\":{line}}}\n"));
                    }
                    Act::Partial => {
                        line += 1;
                        rig.append("app.log", format!("{{\"n\":{line}"));
                        if disturbed { rig.turn(); }
                        rig.append("app.log", "}\n");
                    }
                    Act::Rotate => if rig.path("app.log").exists() {
                        rotated += 1;
                        rig.rename("app.log", &format!("app.log.{rotated}"));
                    }
                    Act::Pass(seconds) => rig.pass(u64::from(*seconds)),
                    Act::Turn => drop(rig.turn()),
                    Act::Kill(units) => if disturbed {
                        rig.commit(usize::from(*units));
                        if travels { rig.travel() } else { rig.restart() }
                    }
                }
            }
            rig.pass(2);
            rig.pass(10);
            let mut events = std::mem::take(&mut rig.events);
            events.sort();
            prop_assert_eq!(events.len(), line, "each once");
            prop_assert!(rig.letters.is_empty());
            runs.push(events);
        }
        prop_assert_eq!(&runs[0], &runs[1]);
    }
}
