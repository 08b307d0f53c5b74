# Entry points. What each does is in scripts/; `make` alone lists them.
.POSIX:
.PHONY: help demo test deny api sim limit bench fuzz crash chaos drain flood crowd applier \
	clean-demo

help:
	@echo "make demo        build, run 10,000 transactions per second for 20 s, verify, clean up"
	@echo "                 KEEP=1 keeps the folder; DATABASE_URL=... also verifies PostgreSQL"
	@echo "make test        everything that must hold: format, lints, documents, tests"
	@echo "make deny        licences and advisories of all crates, by cargo-deny; fetches advisories"
	@echo "make api         /openapi.json against the switch: CASES=5000 by schemathesis, and"
	@echo "                 spectral's lint; installs both below the target folder"
	@echo "make sim         SEEDS=1000 seeds of the simulated world from SEED_FROM=0 on"
	@echo "make limit       the switch against a bare relay on the same sockets;"
	@echo "                 LIMIT_ARGS='--pair tls' with TLS against clear,"
	@echo "                 '--pair gateway' JSON against a bare HTTP server"
	@echo "make bench       the benches of the parts, see benches/README.md"
	@echo "make fuzz        TIME=60 seconds of processor time for each target, or for TARGET=..."
	@echo "                 KEEP=1 puts the fewest inputs that reach as much into fuzz/corpus"
	@echo "make crash       POINTS=1000 kills under load at every step, recovery of 1 GiB of journal,"
	@echo "                 null control; closes with a table. RATE=, SEED=, BACKLOG=0 (MiB)"
	@echo "make chaos       MINUTES=10 of bad connections, kills and outages by SEED=1; then money"
	@echo "make drain       ENTRIES=10000 reversals to one issuer: how many a second, beside the same"
	@echo "                 one at a time, and with POISONED=32 that it never answers"
	@echo "make flood       p99 of CALM=2000/s beside FLOOD=5000/s of a gateway or an acquirer that is"
	@echo "                 beyond what it may, held against the same alone, and beside the same"
	@echo "                 flood of another switch; ROUNDS=3"
	@echo "make crowd       p99 of RATE=2000/s over BUSY=1000 connections, alone and beside IDLE=10000"
	@echo "                 idle ones, half of them sessions, and what those take; ROUNDS=3"
	@echo "make applier     rows a second into PostgreSQL by either strategy, beside bare COPY;"
	@echo "                 BATCH='2000 500', or rates, bytes, lag, restore"
	@echo "make clean-demo  remove folders that KEEP=1 left"

demo:
	@sh scripts/demo.sh

test:
	@sh scripts/test.sh

deny:
	@sh scripts/deny.sh

api:
	@sh scripts/api.sh

sim:
	@SEEDS=$(SEEDS) SEED_FROM=$(SEED_FROM) sh scripts/sim.sh

limit:
	@sh scripts/limit.sh $(LIMIT_ARGS)

bench:
	@sh scripts/need.sh
	cargo bench --locked -p njia-benches
	@cat $${CARGO_TARGET_DIR:-target}/criterion/codec-peers.txt

fuzz:
	@sh scripts/fuzz.sh

crash:
	@sh scripts/crash.sh

chaos:
	@sh scripts/chaos.sh

drain:
	@sh scripts/drain.sh

flood:
	@sh scripts/flood.sh

crowd:
	@sh scripts/crowd.sh

applier:
	@sh scripts/applier.sh $(BATCH)

clean-demo:
	rm -rf $${CARGO_TARGET_DIR:-target}/njia-demo*
