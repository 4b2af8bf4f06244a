//! What is sent behind a batch that failed is not tried, however much of it there is.

use dohle_log::LogError;

use super::*;

/// Batches of one partition: two turns and one more.
const COUNT: usize = 2 * LOCKED_MAX + 1;

fn appended(offset: usize) -> Result<Appended, AppendError> {
    let offset = Offset(offset as i64);
    Ok(Appended {
        base_offset: offset,
        last_offset: offset,
        log_append_time: Timestamp::NONE,
        log_start_offset: Offset::ZERO,
        size: 100,
        duplicate: false,
    })
}

fn failed() -> Result<Appended, AppendError> {
    Err(AppendError::Log(LogError::Poisoned))
}

/// What became of all of them, and how many were tried.
fn run(
    mut append: impl FnMut(&[usize]) -> Result<(Results, Offset), ErrorCode>,
) -> (Vec<Outcome>, usize) {
    let all: Vec<_> = (0..COUNT).collect();
    let (mut outcomes, mut tried) = (Vec::new(), 0);
    let append = |these: &[usize]| {
        assert_eq!(these[0], tried, "in their order");
        assert!(these.len() <= LOCKED_MAX);
        tried += these.len();
        append(these)
    };
    append_in_turns(&all, append, |index, outcome| {
        assert_eq!(*index, outcomes.len());
        outcomes.push(outcome);
    });
    assert_eq!(outcomes.len(), COUNT, "each is told");
    (outcomes, tried)
}

#[test]
fn what_is_behind_a_write_that_failed_is_not_tried_in_a_later_turn() {
    // The disk has room again for the next turn. (what fails, what is refused behind it in its turn)
    for (first, refused) in [(0, None), (7, None), (LOCKED_MAX - 2, Some(LOCKED_MAX - 1))] {
        let (outcomes, tried) = run(|these| {
            let result = |index: &usize| match *index {
                index if Some(index) == refused => Err(AppendError::Empty),
                index if (first..LOCKED_MAX).contains(&index) => failed(),
                index => appended(index),
            };
            Ok((these.iter().map(result).collect(), Offset(3)))
        });
        assert_eq!(tried, LOCKED_MAX, "{first}");
        for (index, outcome) in outcomes.into_iter().enumerate() {
            let expected = match index {
                index if index < first => appended(index),
                index if Some(index) == refused => Err(AppendError::Empty),
                _ => failed(),
            };
            assert_eq!(outcome, Ok((expected, Offset(3))), "{index}");
        }
    }
}

#[test]
fn what_is_refused_for_itself_holds_up_nothing() {
    let (outcomes, tried) = run(|these| {
        let result = |index: &usize| match index % 2 {
            0 => Err(AppendError::Empty),
            _ => appended(*index),
        };
        Ok((these.iter().map(result).collect(), Offset(0)))
    });
    assert_eq!(tried, COUNT);
    assert_eq!(outcomes[COUNT - 2], Ok((appended(COUNT - 2), Offset(0))));
}

#[test]
fn a_partition_that_takes_nothing_is_asked_once() {
    let (outcomes, tried) = run(|_| Err(ErrorCode::NOT_LEADER_OR_FOLLOWER));
    assert_eq!(tried, LOCKED_MAX);
    assert!(outcomes.iter().all(|it| *it == Err(ErrorCode::NOT_LEADER_OR_FOLLOWER)));
}
