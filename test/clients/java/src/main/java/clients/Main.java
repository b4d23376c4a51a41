package clients;

import java.util.List;

/** Checks a server with two Java clients: {@code Main PORT VERSION}, where VERSION is 3.1, 3.1.1 or 5. */
public final class Main {
    private Main() {
    }

    public static void main(final String[] args) {
        if (args.length != 2) {
            System.err.println("usage: Main PORT 3.1|3.1.1|5");
            System.exit(2);
        }
        final int port = Integer.parseInt(args[0]);
        final List<Check> checks = switch (args[1]) {
            case "3.1" -> new EveryVersion(new Server3(port, 3)).checks();
            case "3.1.1" -> new EveryVersion(new Server3(port, 4)).checks();
            case "5" -> new Version5(new Server5(port)).checks();
            default -> throw new IllegalArgumentException("no such version: " + args[1]);
        };
        System.exit(Check.runAll(checks) ? 0 : 1);
    }
}
