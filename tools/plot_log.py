"""Draw the curves of one or several runs of training: loss, accuracy, learning rate, gradient and times.

python tools/plot_log.py LOG [LOG ...] [-o curves.png]
"""

from slowfast.cli.plot_log import main

if __name__ == "__main__":
    main()
