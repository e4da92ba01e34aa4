"""Studies of policies: what they learn, and what they spend on it, beside their baselines.

How to add a study:

1. A file of this package with one final ``AbstractPolicyStudy`` for each problem (its fields are
   what a recipe may change; ``scores`` name what is measured, ``axes`` what curves run over), and
   with the final ``AbstractPolicyMethod`` classes that go with it. A method has one method,
   ``run(study, seed)``, which learns, judges and returns a ``PolicyOutcome``. Import torch and
   ``dfl.rl`` inside functions, so that ``dfl list`` stays fast. ``simulators`` is an example.
2. In ``dfl_experiments.catalog``, the study in the union ``PolicyProblem`` and its methods in the
   union ``PolicyMethod``.
3. A recipe ``configs/NAME.yaml`` with ``problem``, ``methods``, ``baselines`` and ``seeds``, and a
   test that runs it cut down to seconds (by ``--set``).

The engine does the rest: each method with each seed is a cell, computed once, in parallel, on one
thread, and kept; a method with ``settings`` tries them with a seed of their own first. The folder
of a run then has

* ``summary.csv``: mean with its 95 % interval, and interquartile mean, of each score and method;
* ``comparisons.csv``: paired difference from each baseline over the same seeds, with its interval,
  and probability of improvement;
* ``spent.csv``, ``trials.csv``, ``curves.csv``: what was spent, what was tried, what was followed;
* ``results.parquet``: a row a method, seed and score, with all parameters;
* ``summary.md``: the tables in Markdown; ``summary.png``, ``curves.png``: pictures.
"""
