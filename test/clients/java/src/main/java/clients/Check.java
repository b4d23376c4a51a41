package clients;

import java.util.List;
import java.util.Objects;

/** A check has a name and throws when it fails. */
record Check(String name, Body body) {
    /** What a check does. */
    interface Body {
        void run() throws Exception;
    }

    /** Prints {@code ok NAME} or {@code not ok NAME: WHY} for each check; tells whether all are well. */
    static boolean runAll(final List<Check> checks) {
        boolean allPassed = true;
        for (final Check check : checks) {
            allPassed &= check.run();
        }
        return allPassed;
    }

    private boolean run() {
        try {
            body.run();
            System.out.println("ok " + name);
            return true;
        } catch (final Exception | AssertionError error) {
            final String why = (error + " at " + ownLines(error)).replaceAll("\\s+", " ");
            System.out.println("not ok " + name + ": " + why);
            return false;
        }
    }

    private static String ownLines(final Throwable error) {
        final StringBuilder lines = new StringBuilder();
        for (final StackTraceElement element : error.getStackTrace()) {
            if (element.getClassName().startsWith("clients.") && !element.getClassName().equals("clients.Check")) {
                lines.append(element.getFileName()).append(':').append(element.getLineNumber()).append(' ');
            }
        }
        return lines.toString();
    }

    /** Throws unless both are equal; of lists, the first difference is told. */
    static void same(final Object actual, final Object expected) {
        if (Objects.equals(actual, expected)) {
            return;
        }
        if (!(actual instanceof List<?> one) || !(expected instanceof List<?> other)) {
            throw new AssertionError("expected " + expected + ", got " + actual);
        }
        int at = 0;
        while (at < one.size() && at < other.size() && Objects.equals(one.get(at), other.get(at))) {
            at++;
        }
        throw new AssertionError("expected %d, got %d; from %d: expected %s, got %s".formatted(
                other.size(), one.size(), at, some(other, at), some(one, at)));
    }

    private static List<?> some(final List<?> list, final int from) {
        return list.subList(from, Math.min(from + 3, list.size()));
    }
}
