int dotc;
