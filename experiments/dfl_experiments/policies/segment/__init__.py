"""Language models that learn arithmetic from rewards, with credit for segments or for the whole."""

from dfl_experiments.policies.segment.arithmetic import (
    SegmentArithmeticStudy as SegmentArithmeticStudy,
)
from dfl_experiments.policies.segment.credit import Credit as Credit
from dfl_experiments.policies.segment.credit import SegmentCreditStudy as SegmentCreditStudy
from dfl_experiments.policies.segment.learned import Segment as Segment
