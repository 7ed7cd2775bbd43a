/* number.h - numbers as people read them. All return their text by value: rt_html_put(out, "%s", rt_num_bytes(n).s).
 * What is not finite reads "unknown". */
#ifndef RT_REPORT_NUMBER_H
#define RT_REPORT_NUMBER_H

typedef struct rt_num {
    char s[96];
} rt_num;

rt_num rt_num_plain(double v);   /* three digits or more: 0.0312, 61.4, 1.24 × 10^6 */
rt_num rt_num_exact(double v);   /* 134,515,008 */
rt_num rt_num_short(double v);   /* 134.5 M */
rt_num rt_num_bytes(double v);   /* 98.4 MB */
rt_num rt_num_seconds(double v); /* 7 min 12 s */
rt_num rt_num_share(double v);   /* 0.542 -> 54.2 % */

/* Mean with the half-width of its interval, both to the digits that the half-width leaves: 0.83 ± 0.02. A half-width
 * that is not finite gives "0.83 (error unknown)". */
rt_num rt_num_pm(double mean, double half);
rt_num rt_num_share_pm(double mean, double half); /* 54.2 % ± 0.6 */
/* 8.0 ± 6.0 points, of two shares' difference; 8.0 points where the error is unknown */
rt_num rt_num_points_pm(double mean, double half);

#endif
