"""Files of versions without checksums: facts that contradict each other are refused."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from autoloss.candidate import Candidate, Crash, Evaluation, Kind, Loss, Origin, Refusal, State
from autoloss.store.file import FILE
from autoloss.store.ledger import CANDIDATE, CRASH, EVALUATION, REFUSAL
from autoloss.store.records import (
    candidate,
    crash,
    evaluation,
    of_candidate,
    of_crash,
    of_evaluation,
    of_refusal,
    refusal,
)
from autoloss.store.run import Run
from primitives.errors import InputError

CONTRADICTIONS = {
    "UPDATE meta SET value = '{' WHERE key = 'settings'": "table meta with key 'settings': not JSON",
    "UPDATE meta SET value = '[1]' WHERE key = 'settings'": "not an object of JSON but [1]",
    "UPDATE meta SET value = '{}' WHERE key = 'settings'": "settings.seed: Field required",
    "UPDATE meta SET value = json_remove(value, '$.ladder[0].name') WHERE key = 'settings'": "settings.ladder.0.name",
    "UPDATE meta SET value = json_set(value, '$.ladder', 3) WHERE key = 'settings'": "settings.ladder: Input should be",
    "DELETE FROM candidate WHERE number = 2": "candidate 2 is missing",
    "DELETE FROM candidate WHERE number = 4": "is of candidate 4, which is missing",
    "UPDATE candidate SET number = -1 WHERE number = 0": "candidate 0 is missing",
    "UPDATE candidate SET losses = 'text' WHERE number = 3": "table candidate with number 3: not JSON",
    "UPDATE candidate SET losses = '[]' WHERE number = 3": "table candidate with number 3: losses: Input should be",
    "UPDATE candidate SET losses = replace(losses, 'expression', 'text')": "expression: Field required",
    "UPDATE candidate SET losses = replace(losses, '(', '[')": "table candidate with number 1: unexpected",
    "UPDATE candidate SET losses = replace(losses, 'loss_cls', 'loss')": "is for loss_cls, not for 'loss'",
    "UPDATE candidate SET losses = replace(losses, 'sigmoid\"', 'cube\"')": "unknown grammar 'cube'",
    "UPDATE candidate SET losses = json_set(losses, '$.loss_bbox.loss_weight', -1.5) WHERE number = 4": "-1.5",
    "UPDATE candidate SET parents = '[4]' WHERE number = 4": "candidate 4 descends from 4, which is not older",
    "UPDATE candidate SET parents = '[\"a\"]' WHERE number = 4": "number 4: parents.0: Input should be",
    "UPDATE candidate SET origin = x'00' WHERE number = 4": "number 4: origin must be str, got b'\\x00'",
    "UPDATE candidate SET certificates = 'null'": "certificates: Input should be",
    "UPDATE candidate SET certificates = replace(hex(zeroblob(30000)), '00', '[')": "table candidate with number 0",
    "UPDATE evaluation SET state = 'broken' WHERE candidate = 3": "state: Input should be",
    "UPDATE evaluation SET state = 'failed' WHERE candidate = 3": "has a score when it is done",
    "UPDATE evaluation SET score = NULL WHERE candidate = 3": "has a score when it is done",
    "UPDATE evaluation SET score = 0.999 WHERE candidate = 3": "has score 0.999, its metrics say",
    "UPDATE evaluation SET score = 'high' WHERE candidate = 3": "score must be float, got 'high'",
    'UPDATE evaluation SET metrics = \'{"score": "x"}\'': "metrics.score: Input should be",
    "UPDATE evaluation SET seconds = -1 WHERE candidate = 3": "has seconds -1.0",
    "UPDATE evaluation SET seconds = 9e999 WHERE candidate = 3": "has seconds inf",
    "UPDATE evaluation SET candidate = 12 WHERE candidate = 3": "is of candidate 12, which is missing",
    "DELETE FROM refusal WHERE number = 4 AND draw = 0": "refusal 0 on the way to candidate 4 is missing",
    "DELETE FROM refusal WHERE number = 4 AND draw = (SELECT max(draw) FROM refusal WHERE number = 4)": "draws, and",
    "UPDATE refusal SET number = 9 WHERE number = 4": "a refusal is of candidate 9, which is missing",
    "UPDATE refusal SET gate = 'gate' WHERE number = 4 AND draw = 0": "is by gate 'gate'",
    "DROP TABLE refusal": "no such table: refusal",
    "ALTER TABLE evaluation DROP COLUMN error": "no such column: error",
}


@pytest.mark.parametrize("statement", CONTRADICTIONS)
def test_a_contradiction_in_a_file_of_an_older_version_is_refused_in_a_line(
    statement: str, golden: Path, tmp_path: Path
) -> None:
    directory = shutil.copytree(golden / "runs/schema_2", tmp_path / "run")
    Run.open(directory).close()
    with closing(sqlite3.connect(directory / FILE)) as connection:
        changed = connection.execute(statement).rowcount
        connection.commit()
    assert changed
    with pytest.raises(InputError) as error:
        Run.open(directory)
    text = str(error.value)
    assert text.startswith(f"{directory / FILE} is damaged: ")
    assert CONTRADICTIONS[statement] in text
    assert text.isprintable()
    before = (directory / FILE).read_bytes()
    with pytest.raises(InputError, match="is damaged"):
        Run.create(directory, {})
    assert (directory / FILE).read_bytes() == before


def test_a_fact_is_what_its_row_says() -> None:
    losses = {"loss_bbox": Loss.of({"expression": "neg(log(i))", "grammar": "box", "loss_weight": 2.5})}
    known = {"loss_bbox": [{"name": "n"}]}
    born = Candidate(3, Kind.FOUND, 1, losses, Origin.of("mutation"), (1, 2), False, "ab", 7, known)
    assert candidate(CANDIDATE.stored(of_candidate(born))) == born
    failed = Evaluation(3, "proxy", 2, State.FAILED, None, {}, "why", 1.5, 1e9, 2e9)
    assert evaluation(EVALUATION.stored(of_evaluation(failed))) == failed
    lost = Crash("proxy", 1, (1, 2), True, "killed", 1e9)
    assert crash(CRASH.stored(of_crash(lost))) == lost
    refused = Refusal(3, 0, "loss_bbox", "i", "minimum", "because")
    assert refusal(REFUSAL.stored(of_refusal(refused))) == refused
