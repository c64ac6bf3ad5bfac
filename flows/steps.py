"""The steps as Prefect tasks: each is a shell of `tasks/`, its name, and what it shows."""

from __future__ import annotations

from tasks import show, show_paper, show_quality, show_sweep, show_walk_forward
from tasks.audit import audit
from tasks.backtest import backtest
from tasks.certify import certify
from tasks.data_quality import quality
from tasks.features import features
from tasks.folds import fold
from tasks.gc import sweep
from tasks.ingest import ingest
from tasks.judgement import judge
from tasks.paper import paper_trade
from tasks.promotion import promote_judged
from tasks.step import as_task, uncached_task
from tasks.stress import stress
from tasks.sweep import conclude
from tasks.training import train
from tasks.trials import trial
from tasks.walk_forward import join_folds

INGEST = as_task(ingest, name="ingest", show=show.quality)
QUALITY = as_task(quality, name="quality", show=show_quality.quality)
FEATURES = as_task(features, name="features")
FOLD = as_task(fold, name="fold")
TRAIN = as_task(train, name="train", show=show.training)
BACKTEST = as_task(backtest, name="backtest", show=show.backtest)
AUDIT = as_task(audit, name="audit", show=show.audit)
STRESS = as_task(stress, name="stress", show=show.stress)
CERTIFY = as_task(certify, name="certify", show=show.certificate)
JUDGE = as_task(judge, name="judge", show=show.judgement)
PAPER = uncached_task(show_paper.told(paper_trade), name="paper trade")
PROMOTE = uncached_task(promote_judged, name="promote")
JOIN_FOLDS = as_task(join_folds, name="join folds", show=show_walk_forward.joined)
GC = uncached_task(sweep, name="gc")
TRIAL = as_task(trial, name="trial")
CONCLUDE = as_task(conclude, name="conclude", show=show_sweep.concluded)
