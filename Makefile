# Every target makes the environment it needs in .venv.
PYTHON ?= python3
BIN := .venv/bin
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c

.PHONY: search test test-slow results published benchmark benchmark-export benchmark-estimate benchmark-frozen benchmark-speedup benchmark-ablation benchmark-scaling fidelity flagship report headroom funnel clean

search: .venv/installed  ## A first search: a tiny FCOS on handwritten digits with wrong labels, 5 to 10 minutes on 2 cores.
	$(BIN)/autoloss search configs/search/digits_noisy.py

test: .venv/installed  ## What a change must pass; about 12 minutes on 2 cores.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pytest --numprocesses auto --maxprocesses 8 --dist worksteal --durations 20

test-slow: .venv/installed  ## What make test leaves out.
	$(BIN)/pytest -m slow

results: .venv/installed  ## The first search, two on clean digits, and their files in results/.
	$(BIN)/autoloss search configs/search/digits_noisy.py
	$(BIN)/autoloss search configs/search/digits_fcos.py
	$(BIN)/autoloss search configs/search/digits_faster_rcnn.py
	mkdir -p results
	$(BIN)/autoloss show runs/digits_noisy --top 7 --full > results/digits_noisy.txt
	$(BIN)/autoloss show runs/digits_noisy --json > results/digits_noisy.json
	for run in digits_fcos digits_faster_rcnn; do \
	  $(BIN)/autoloss show runs/$$run --top 7 --full > results/$$run.txt && \
	  $(BIN)/autoloss show runs/$$run --json > results/$$run.json || exit 1; \
	done

published: .venv/installed  ## The known losses, the published four among them, ready for mmdetection; about 3 minutes.
	rm -rf results/published
	OMP_NUM_THREADS=1 $(BIN)/autoloss export --catalog --stand-in --force --out results/published

benchmark-export: .venv/installed  ## Exported losses beside mmdetection's own and an interpreter; about 2 minutes.
	@mkdir -p results
	@$(BIN)/python tests/benchmarks/bench_export.py 2> /dev/null | tee results/benchmark_export.txt

benchmark-frozen: .venv/installed  ## A candidate on frozen features beside a training of its own; about 3 minutes.
	@mkdir -p results/fidelity
	@$(BIN)/python tests/benchmarks/bench_frozen.py | tee results/fidelity/cost.txt

fidelity: .venv/installed  ## The tables and plots of results/fidelity, from the runs that are kept there.
	for folder in results/fidelity/*/; do \
	  $(BIN)/autoloss fidelity $$folder --plot $${folder}rungs.png | sed 's/ *$$//' > $${folder}table.txt || exit 1; \
	done

report: search  ## The pictures of results/report: of the first search, and of a training each of its best loss and the own one; about 1 minute more.
	$(BIN)/autoloss report runs/digits_noisy --detections --pictures results/report
	chromium --headless --no-sandbox --hide-scrollbars --window-size=1100,1130 \
	  --screenshot=results/report/page.png file://$(CURDIR)/runs/digits_noisy/report.html

flagship: .venv/installed  ## The first search at length, its audit on test images, exports and pages; about 85 minutes on 2 cores.
	$(BIN)/autoloss run digits_noisy_at_length runs/flagship
	mkdir -p results/flagship
	$(BIN)/autoloss show runs/flagship/search --top 7 --full > results/flagship/search.txt
	cp runs/flagship/search/audit/audit.json runs/flagship/search/audit/table.txt runs/flagship/search/audit/forest.png results/flagship/
	rm -rf results/flagship/export
	$(BIN)/autoloss export runs/flagship/search --stand-in --out results/flagship/export/mmdet \
	  --detector mmdet::fcos/fcos_r50-caffe_fpn_gn-head-center-normbbox-centeronreg-giou_1x_coco.py
	$(BIN)/autoloss export runs/flagship/search --to torch --out results/flagship/export/torch

headroom: .venv/installed  ## The tables and plots of results/headroom, from the runs that are kept there.
	for folder in results/headroom/*/; do \
	  $(BIN)/autoloss headroom $$folder --plot $${folder}losses.png | sed 's/ *$$//' > $${folder}table.txt && \
	  $(BIN)/autoloss fidelity $$folder --plot $${folder}rungs.png | sed 's/ *$$//' > $${folder}rungs.txt || exit 1; \
	done

benchmark-estimate: .venv/installed  ## What two reduced searches are estimated to cost, and cost; about 8 minutes.
	@mkdir -p results
	@$(BIN)/autoloss estimate configs/search/digits_fcos.py 2> /dev/null > results/estimate_digits_fcos.txt
	@$(BIN)/python tests/benchmarks/bench_estimate.py 2> /dev/null | tee results/estimate.txt

benchmark-speedup: .venv/installed  ## Vanilla evolution beside the method, on noisy digits; about 1.7 hours.
	@mkdir -p results/speedup
	@$(BIN)/python tests/benchmarks/bench_searches.py speedup --minutes 40 | tee results/speedup/speedup.txt

benchmark-ablation: .venv/installed  ## The method without one of its parts, on noisy digits; about 1.5 hours.
	@mkdir -p results/ablation
	@$(BIN)/python tests/benchmarks/bench_searches.py ablation --minutes 6 | tee results/ablation/ablation.txt

benchmark-scaling: .venv/installed  ## Evaluations per hour by number of workers, 1 to 64 where 32 GB are free; about 25 minutes on an idle machine.
	@$(BIN)/python tests/benchmarks/bench_scaling.py results/scaling

benchmark: .venv/installed  ## Speed of the gates, and what a search of digits_fcos spends beside training.
	@mkdir -p results
	@($(BIN)/python tests/benchmarks/bench_gates.py && $(BIN)/python tests/benchmarks/bench_overhead.py runs/digits_fcos) \
	  | tee results/benchmark.txt

funnel: .venv/installed  ## 100,000 random formulas of every grammar through all gates; about 3 minutes.
	@mkdir -p results
	for grammar in box box_pixels box_extended box_wide softmax softmax_wide sigmoid sigmoid_wide; do \
	  $(BIN)/autoloss funnel --grammar $$grammar --n 100000 --seed 0 > results/funnel_$$grammar.txt || exit 1; \
	done

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[test]"
	touch $@

clean:
	rm -rf .venv build *.egg-info
