"""Make the moving-digits data set: small H.264 videos whose class is the motion (or the digit)."""

from slowfast.cli.data.moving_digits import main

if __name__ == "__main__":
    main()
