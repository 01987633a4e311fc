"""The spool file against a model of lists: whatever is done, both agree."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway_agent.clock import Stamp
from gateway_agent.reading import Reading
from gateway_agent.spool import Refusal, Settlement, SpoolFile, Work
from gateway_agent.spool.reader import SpoolReader


class SpoolModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.waiting: dict[int, str] = {}
        self.dead: list[str] = []
        self.last_seq = 0
        self.made = 0
        self.acknowledged = 0
        self.file = self.open()

    def open(self) -> SpoolFile:
        return SpoolFile(
            self.folder / "spool.db", max_mb=16, drop_oldest=True, dead_letters=10**6, machine="m"
        )

    @rule(count=st.integers(1, 30))
    def append(self, count: int) -> None:
        readings = []
        for _ in range(count):
            self.made += 1
            self.last_seq += 1
            self.waiting[self.last_seq] = f'{{"n":{self.made}}}'
            stamp = Stamp(self.made, self.made, f"boot-{self.made % 3}", synced=True)
            readings.append(Reading("boiler", self.waiting[self.last_seq], stamp))
        self.file.commit(Work(readings=readings))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        through = data.draw(st.integers(0, self.last_seq))
        decided = [seq for seq in self.waiting if seq <= through]
        fates = data.draw(
            st.lists(st.sampled_from("srd"), min_size=len(decided), max_size=len(decided))
        )
        refused, respool = {}, set()
        for seq, fate in zip(decided, fates, strict=True):
            if fate == "r":
                respool.add(seq)
            elif fate == "d":
                refused[seq] = Refusal("400", "no")
        for seq in sorted(decided):
            fields = self.waiting.pop(seq)
            if seq in respool:
                self.last_seq += 1
                self.waiting[self.last_seq] = fields
            elif seq in refused:
                self.dead.append(fields)
            else:
                self.acknowledged += 1
        self.file.commit(Work(settlements=[Settlement(through, refused, frozenset(respool))]))

    @rule(count=st.integers(1, 5))
    def shed(self, count: int) -> None:
        self.file._drop_oldest = True
        self.file._transact(Work(), shed=count)
        if self.dead:
            self.dead = self.dead[count:]
            return
        for seq in sorted(self.waiting)[:count]:
            del self.waiting[seq]

    @rule()
    def restart(self) -> None:
        self.file.close()
        self.file = self.open()

    @rule()
    def crash(self) -> None:
        self.file._db.close()
        self.file = self.open()

    @invariant()
    def spool_agrees_with_the_model(self) -> None:
        reader = SpoolReader(self.folder / "spool.db")
        rows = reader.rows_after(0, 10**6, 10**12)
        reader.close()
        assert {row.seq: row.fields for row in rows} == self.waiting
        assert [row.seq for row in rows] == sorted(self.waiting)
        assert (self.file.depth, self.file.last_seq) == (len(self.waiting), self.last_seq)
        dead = self.file._db.execute("SELECT fields FROM dead_letter ORDER BY id").fetchall()
        assert [fields for (fields,) in dead] == self.dead
        assert self.file.dead_letters == len(self.dead)
        assert self.file.counters["committed"] == self.made
        assert self.file.counters["acknowledged"] == self.acknowledged

    def teardown(self) -> None:
        self.file._db.close()
        shutil.rmtree(self.folder)


SpoolModel.TestCase.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
TestSpoolAgreesWithModel = SpoolModel.TestCase
