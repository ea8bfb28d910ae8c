#!/usr/bin/env php
<?php
// Sends one stock event to Stocktide until it is certainly recorded, exactly once. Needs PHP 8 with its curl extension.
//
//   STOCK_URL=https://stocktide.example.com STOCK_KEY=... php send.php EVENT_ID SKU KIND QUANTITY
//
// Take the event id from your own document, such as "receipt-4711-line-3", or draw one and store it with the document before
// you send it. With the same id, the event can be sent as often as it takes: it is applied once.
declare(strict_types=1);

const GIVE_UP_AFTER = 15 * 60; // seconds; then keep the event and send it later, with the same id
const LONGEST_PAUSE = 30;

/** The event will be refused however often it is sent: somebody has to look at it. */
class Refused extends RuntimeException {}

/** Returns "accepted" or "duplicate": an earlier attempt has arrived although its answer was lost. */
function send(array $event): string
{
    $started = time();
    for ($attempt = 0; ; $attempt++) {
        $retryAfter = 0;
        $curl = curl_init(rtrim((string) getenv('STOCK_URL'), '/') . '/v1/stock-events');
        curl_setopt_array($curl, [
            CURLOPT_POSTFIELDS => json_encode($event, JSON_THROW_ON_ERROR),
            CURLOPT_HTTPHEADER => ['Authorization: Bearer ' . getenv('STOCK_KEY'), 'Content-Type: application/json'],
            CURLOPT_RETURNTRANSFER => true,
            CURLOPT_CONNECTTIMEOUT => 5,
            CURLOPT_TIMEOUT => 20,
            CURLOPT_HEADERFUNCTION => function ($curl, string $line) use (&$retryAfter): int {
                if (preg_match('/^retry-after:\s*(\d+)/i', $line, $found)) {
                    $retryAfter = (int) $found[1];
                }
                return strlen($line);
            },
        ]);
        $body = curl_exec($curl);
        $status = curl_getinfo($curl, CURLINFO_RESPONSE_CODE);
        if ($body === false) {
            // No connection, no answer, or half an answer: it may have arrived or not.
            $reason = curl_error($curl);
        } elseif ($status === 200) {
            return json_decode($body, true, 64, JSON_THROW_ON_ERROR)['results'][0]['status'];
        } else {
            // 408 too slow, 429 quota, 500 and above the service or its proxy: the same again, later. Everything else is about
            // this event or this key: 400 and 422 wrong fields, 401 and 403 the key, 409 the id belongs to another event.
            $reason = "$status: $body";
            if (!in_array($status, [408, 429], true) && $status < 500) {
                throw new Refused($reason);
            }
        }
        if (time() - $started > GIVE_UP_AFTER) {
            throw new RuntimeException("gave up for now; send the event again later with the same id ($reason)");
        }
        // Full jitter, so that many clients do not come back at the same instant.
        $pause = $retryAfter + min(LONGEST_PAUSE, 0.5 * 2 ** $attempt) * mt_rand() / mt_getrandmax();
        usleep((int) ($pause * 1_000_000));
    }
}

if ($argc !== 5) {
    fwrite(STDERR, "send.php EVENT_ID SKU KIND QUANTITY\n");
    exit(2);
}
try {
    echo send(['event_id' => $argv[1], 'sku' => $argv[2], 'kind' => $argv[3], 'quantity' => (int) $argv[4]]), "\n";
} catch (RuntimeException $error) {
    fwrite(STDERR, "$argv[1]: {$error->getMessage()}\n");
    exit(1);
}
